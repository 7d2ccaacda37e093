/* chain: a queue of bytes made of pieces: copied blocks, borrowed receive buffers, and memory that was handed over.
 *
 * Owner: whoever it stands in. Thread: the core's. Memory: an empty chain has none. Bytes leave in the order in which they
 * came; the front may be in the kernel's hands (a send), so only chain_pop touches what is already there.
 */
#ifndef PGRING_NET_CHAIN_H
#define PGRING_NET_CHAIN_H

#include "net/net.h"

struct piece;

struct chain {
	struct piece *first, *last;
	uint32_t bytes;
	uint32_t borrowed; /* pieces that hold receive buffers */
};

static inline bool chain_empty(const struct chain *chain)
{
	return chain->bytes == 0;
}

/* Private receive memory of a bulk stream, on kernels without bundles. Freed by its last holder. */
struct bulk {
	uint32_t holders;
	uint8_t bytes[LIMIT_BULK_BYTES];
};

/* With one holder: the caller. */
struct bulk *bulk_new(void);
void bulk_drop(struct bulk *bulk);

/* Appends a copy. */
void chain_copy(struct core *core, struct chain *chain, const void *bytes, size_t len);
/* Appends bytes of a received span: copied if few, else borrowed until they have left. `bytes` lie in `span`. */
void chain_borrow(struct core *core, struct chain *chain, const struct span *span,
	const uint8_t *bytes, size_t len);
/* Appends memory from malloc, which the chain frees. */
void chain_adopt(struct core *core, struct chain *chain, void *bytes, size_t len);

/* Moves the first `len` bytes of `source` to the end of `target`. */
void chain_move(struct core *core, struct chain *target, struct chain *source, size_t len);

/* Drops the first `len` bytes. */
void chain_pop(struct core *core, struct chain *chain, size_t len);
void chain_clear(struct core *core, struct chain *chain);

/* The first pieces, at most `max`; their bytes stay where they are until popped. Returns how many. */
unsigned chain_pieces(const struct chain *chain, struct iovec *ret_pieces, unsigned max);

/* Copies the first bytes, at most `len`, without taking them. Returns how many. */
size_t chain_peek(const struct chain *chain, void *ret_bytes, size_t len);

/* Copies every borrowed piece behind the first `skip` bytes to memory of its own, so that the receive buffers are free again.
 * Returns how many buffers were given back. */
unsigned chain_unborrow(struct core *core, struct chain *chain, size_t skip);

/* For the loop. What is freed is kept to be used again: whether that is more than a little, ... */
enum { CHAIN_SPARES = 32 };
static inline bool chain_wants_trim(const struct net *net)
{
	return net->blocks.count > CHAIN_SPARES || net->pieces.count > CHAIN_SPARES;
}
/* ... frees what nobody has needed since the last call, but for that, ... */
void chain_trim(struct core *core);
/* ... and frees all of it. */
void chain_free_lists(struct core *core);

#endif
