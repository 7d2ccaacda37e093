/* spsc: a bounded queue between exactly one producing and one consuming thread, without locks.
 *
 * Memory: the entries stand in the queue; its size is a power of two. Each side keeps its last view of the other's position,
 * so that the shared cache lines move only when that view is used up. (Lamport 1977; the cached positions as in "FastForward",
 * Giacomoni et al. 2008.)
 */
#ifndef PGRING_CORE_SPSC_H
#define PGRING_CORE_SPSC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct spsc {
	_Alignas(64) atomic_uint_fast32_t head; /* written by the consumer */
	uint32_t tail_seen;                     /* the consumer's */
	_Alignas(64) atomic_uint_fast32_t tail; /* written by the producer */
	uint32_t head_seen;                     /* the producer's */
};

/* The slot to fill next, or UINT32_MAX when the queue of `size` entries is full. Producer. */
static inline uint32_t spsc_reserve(struct spsc *queue, uint32_t size)
{
	uint32_t tail = (uint32_t)atomic_load_explicit(&queue->tail, memory_order_relaxed);

	if (tail - queue->head_seen == size) {
		queue->head_seen =
			(uint32_t)atomic_load_explicit(&queue->head, memory_order_acquire);
		if (tail - queue->head_seen == size)
			return UINT32_MAX;
	}
	return tail & (size - 1);
}

/* Publishes the slot that was reserved and filled. Producer. */
static inline void spsc_publish(struct spsc *queue)
{
	uint32_t tail = (uint32_t)atomic_load_explicit(&queue->tail, memory_order_relaxed);

	atomic_store_explicit(&queue->tail, (uint32_t)(tail + 1), memory_order_release);
}

/* How many entries wait to be read. Consumer. */
static inline uint32_t spsc_waiting(struct spsc *queue)
{
	queue->tail_seen = (uint32_t)atomic_load_explicit(&queue->tail, memory_order_acquire);
	return queue->tail_seen -
		(uint32_t)atomic_load_explicit(&queue->head, memory_order_relaxed);
}

/* The slot to read next, or UINT32_MAX when the queue is empty. Consumer. */
static inline uint32_t spsc_peek(struct spsc *queue, uint32_t size)
{
	uint32_t head = (uint32_t)atomic_load_explicit(&queue->head, memory_order_relaxed);

	if (head == queue->tail_seen) {
		queue->tail_seen =
			(uint32_t)atomic_load_explicit(&queue->tail, memory_order_acquire);
		if (head == queue->tail_seen)
			return UINT32_MAX;
	}
	return head & (size - 1);
}

/* Gives the slot that was read back to the producer. Consumer. */
static inline void spsc_release(struct spsc *queue)
{
	uint32_t head = (uint32_t)atomic_load_explicit(&queue->head, memory_order_relaxed);

	atomic_store_explicit(&queue->head, (uint32_t)(head + 1), memory_order_release);
}

#endif
