/* Queues of bytes in pieces. Pieces without own bytes and blocks are recycled through two free lists of the core. */
#include "net/chain.h"

#include <stdlib.h>
#include <string.h>

enum piece_kind { PIECE_BLOCK, PIECE_BUFFER, PIECE_BULK, PIECE_HEAP };

struct piece {
	struct piece *next;
	uint8_t *bytes;
	void *heap; /* HEAP: what to free; BULK: what to drop */
	uint32_t len;
	uint32_t room; /* BLOCK: bytes behind the used ones; HEAP: bytes of all of it */
	uint16_t buffer;
	uint16_t kind;
};

#define BLOCK_BYTES (LIMIT_BLOCK_BYTES - sizeof(struct piece))
enum { SPARES_MOST = 512 }; /* of one core and kind */
_Static_assert(BLOCK_BYTES >= LIMIT_COPY_BYTES, "a copied piece fits in one block");

static struct spares *piece_spares(struct net *net, enum piece_kind kind)
{
	return kind == PIECE_BLOCK ? &net->blocks : &net->pieces;
}

static struct piece *piece_new(struct net *net, enum piece_kind kind)
{
	struct spares *spares = piece_spares(net, kind);
	struct piece *piece = spares->first;

	if (piece) {
		spares->first = piece->next;
		if (--spares->count < spares->least)
			spares->least = spares->count;
	} else {
		piece = malloc(kind == PIECE_BLOCK ? LIMIT_BLOCK_BYTES : sizeof *piece);
		CHECK(piece); /* Linux overcommits: this is not how memory ends */
	}
	piece->next = NULL;
	piece->kind = (uint16_t)kind;
	piece->len = 0;
	piece->room = 0;
	if (kind == PIECE_BLOCK) {
		piece->bytes = (uint8_t *)(piece + 1);
		piece->room = (uint32_t)BLOCK_BYTES;
	}
	return piece;
}

static void piece_free(struct net *net, struct piece *piece)
{
	struct spares *spares = piece_spares(net, (enum piece_kind)piece->kind);

	switch ((enum piece_kind)piece->kind) {
	case PIECE_BLOCK:
		break;
	case PIECE_BUFFER:
		ring_buffer_drop(net->ring, piece->buffer);
		break;
	case PIECE_BULK:
		bulk_drop(piece->heap);
		break;
	case PIECE_HEAP:
		net->heap_bytes -= piece->room;
		free(piece->heap);
		break;
	}
	if (spares->count == SPARES_MOST) {
		free(piece);
		return;
	}
	piece->next = spares->first;
	spares->first = piece;
	spares->count++;
}

static void piece_own(struct net *net, struct piece *piece, void *bytes, size_t len)
{
	piece->kind = PIECE_HEAP;
	piece->bytes = piece->heap = bytes;
	piece->len = piece->room = (uint32_t)len;
	net->heap_bytes += len;
}

static void chain_append(struct chain *chain, struct piece *piece)
{
	if (chain->last)
		chain->last->next = piece;
	else
		chain->first = piece;
	chain->last = piece;
	chain->bytes += piece->len;
	if (piece->kind == PIECE_BUFFER)
		chain->borrowed++;
}

struct bulk *bulk_new(void)
{
	struct bulk *bulk = malloc(sizeof *bulk);

	CHECK(bulk);
	bulk->holders = 1;
	return bulk;
}

void bulk_drop(struct bulk *bulk)
{
	CHECK(bulk->holders > 0);
	if (--bulk->holders == 0)
		free(bulk);
}

void chain_copy(struct core *core, struct chain *chain, const void *bytes, size_t len)
{
	const uint8_t *at = bytes;

	while (len > 0) {
		struct piece *last = chain->last;
		size_t n;

		if (!last || last->kind != PIECE_BLOCK || last->room == 0) {
			last = piece_new(core->net, PIECE_BLOCK);
			chain_append(chain, last);
		}
		n = len < last->room ? len : last->room;
		memcpy(last->bytes + last->len, at, n);
		last->len += (uint32_t)n;
		last->room -= (uint32_t)n;
		chain->bytes += (uint32_t)n;
		at += n;
		len -= n;
	}
}

void chain_borrow(struct core *core, struct chain *chain, const struct span *span,
	const uint8_t *bytes, size_t len)
{
	struct piece *piece;

	CHECK(bytes >= span->bytes && bytes + len <= span->bytes + span->len);
	if (len <= LIMIT_COPY_BYTES) {
		chain_copy(core, chain, bytes, len);
		return;
	}
	piece = piece_new(core->net, span->bulk ? PIECE_BULK : PIECE_BUFFER);
	piece->bytes = (uint8_t *)(uintptr_t)bytes;
	piece->len = (uint32_t)len;
	if (span->bulk) {
		piece->heap = span->bulk;
		span->bulk->holders++;
	} else {
		piece->buffer = span->buffer;
		ring_buffer_hold(core->net->ring, span->buffer);
	}
	chain_append(chain, piece);
}

void chain_adopt(struct core *core, struct chain *chain, void *bytes, size_t len)
{
	struct piece *piece;

	if (len == 0) {
		free(bytes);
		return;
	}
	piece = piece_new(core->net, PIECE_HEAP);
	piece_own(core->net, piece, bytes, len);
	chain_append(chain, piece);
}

static struct piece *chain_take_first(struct chain *chain)
{
	struct piece *piece = chain->first;

	chain->first = piece->next;
	if (!chain->first)
		chain->last = NULL;
	chain->bytes -= piece->len;
	if (piece->kind == PIECE_BUFFER)
		chain->borrowed--;
	piece->next = NULL;
	return piece;
}

void chain_pop(struct core *core, struct chain *chain, size_t len)
{
	CHECK(len <= chain->bytes);
	while (len > 0) {
		struct piece *piece = chain->first;

		if (len < piece->len) {
			piece->bytes += len;
			piece->len -= (uint32_t)len;
			chain->bytes -= (uint32_t)len;
			return;
		}
		len -= piece->len;
		piece_free(core->net, chain_take_first(chain));
	}
}

void chain_clear(struct core *core, struct chain *chain)
{
	chain_pop(core, chain, chain->bytes);
}

void chain_move(struct core *core, struct chain *target, struct chain *source, size_t len)
{
	CHECK(len <= source->bytes);
	while (len > 0) {
		struct piece *piece = source->first;

		/* Whole pieces change their queue; small ones are gathered so that a batch stays one piece. */
		if (len >= piece->len &&
			(piece->kind != PIECE_BLOCK || piece->len > LIMIT_COPY_BYTES)) {
			len -= piece->len;
			chain_append(target, chain_take_first(source));
			continue;
		}
		size_t n = len < piece->len ? len : piece->len;
		struct span span = {piece->bytes, piece->len, piece->buffer,
			piece->kind == PIECE_BULK ? piece->heap : NULL};

		if (piece->kind == PIECE_BUFFER || piece->kind == PIECE_BULK)
			chain_borrow(core, target, &span, piece->bytes, n);
		else
			chain_copy(core, target, piece->bytes, n);
		chain_pop(core, source, n);
		len -= n;
	}
}

unsigned chain_pieces(const struct chain *chain, struct iovec *ret_pieces, unsigned max)
{
	unsigned count = 0;

	for (struct piece *piece = chain->first; piece && count < max; piece = piece->next)
		ret_pieces[count++] = (struct iovec){piece->bytes, piece->len};
	return count;
}

size_t chain_peek(const struct chain *chain, void *ret_bytes, size_t len)
{
	size_t copied = 0;

	for (const struct piece *piece = chain->first; piece && copied < len; piece = piece->next) {
		size_t n = len - copied < piece->len ? len - copied : piece->len;

		memcpy((uint8_t *)ret_bytes + copied, piece->bytes, n);
		copied += n;
	}
	return copied;
}

unsigned chain_unborrow(struct core *core, struct chain *chain, size_t skip)
{
	unsigned returned = 0;

	for (struct piece *piece = chain->first; piece; piece = piece->next) {
		uint8_t *copy;

		if (skip > 0) {
			skip -= skip < piece->len ? skip : piece->len;
			continue;
		}
		if (piece->kind != PIECE_BUFFER)
			continue;
		copy = malloc(piece->len);
		CHECK(copy);
		memcpy(copy, piece->bytes, piece->len);
		ring_buffer_drop(core->net->ring, piece->buffer);
		piece_own(core->net, piece, copy, piece->len);
		chain->borrowed--;
		returned++;
	}
	return returned;
}

static void spares_free(struct spares *spares, unsigned count)
{
	while (count-- > 0) {
		struct piece *piece = spares->first;

		spares->first = piece->next;
		spares->count--;
		free(piece);
	}
}

static void spares_trim(struct spares *spares)
{
	unsigned most = spares->count > CHAIN_SPARES ? spares->count - CHAIN_SPARES : 0;

	spares_free(spares, spares->least < most ? spares->least : most);
	spares->least = spares->count;
}

void chain_trim(struct core *core)
{
	spares_trim(&core->net->pieces);
	spares_trim(&core->net->blocks);
}

void chain_free_lists(struct core *core)
{
	spares_free(&core->net->pieces, core->net->pieces.count);
	spares_free(&core->net->blocks, core->net->blocks.count);
}
