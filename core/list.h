/* list: intrusive doubly linked lists. The link stands in the object; an unlinked link points to itself.
 *
 * Owner and thread: those of the objects in it. Memory: none of its own.
 */
#ifndef PGRING_CORE_LIST_H
#define PGRING_CORE_LIST_H

#include "core/check.h"

#include <stdbool.h>

struct list {
	struct list *next, *prev;
};

static inline void list_init(struct list *list)
{
	list->next = list->prev = list;
}

static inline bool list_empty(const struct list *list)
{
	return list->next == list;
}

/* True when `link` stands in some list. */
static inline bool list_linked(const struct list *link)
{
	return link->next != link;
}

static inline void list_insert_between(struct list *link, struct list *prev, struct list *next)
{
	CHECK_SLOW(!list_linked(link));
	link->prev = prev;
	link->next = next;
	prev->next = link;
	next->prev = link;
}

static inline void list_push_back(struct list *list, struct list *link)
{
	list_insert_between(link, list->prev, list);
}

static inline void list_push_front(struct list *list, struct list *link)
{
	list_insert_between(link, list, list->next);
}

/* Takes the link out of its list; one that is in no list stays as it is. */
static inline void list_remove(struct list *link)
{
	link->prev->next = link->next;
	link->next->prev = link->prev;
	list_init(link);
}

static inline struct list *list_first(const struct list *list)
{
	return list_empty(list) ? NULL : list->next;
}

static inline struct list *list_pop_front(struct list *list)
{
	struct list *link = list_first(list);

	if (link)
		list_remove(link);
	return link;
}

/* Moves everything of `source` behind the last of `target`. */
static inline void list_splice_back(struct list *target, struct list *source)
{
	if (list_empty(source))
		return;
	source->next->prev = target->prev;
	source->prev->next = target;
	target->prev->next = source->next;
	target->prev = source->prev;
	list_init(source);
}

#define list_each(it, head) for (struct list *it = (head)->next; it != (head); it = it->next)
/* The same when the body may remove `it`. */
#define list_each_safe(it, head) \
	for (struct list *it = (head)->next, *it##_next = it->next; it != (head); \
		it = it##_next, it##_next = it->next)

#endif
