// SPDX-License-Identifier: MIT
/*
 * What is known of packets that were aborted, from the report of the fault until the packet's owner asks. In a list of its own,
 * because aborts are rare and slots are not.
 */
#include <stdlib.h>

#include "engine/host/backend_private.h"

struct mcl_abort_note {
	struct mcl_abort_note *next;
	const struct mcl_ring *ring;
	uint64_t seq;
	struct mcl_abort *abort;
};

void mcl_abort_keep(struct mcl_backend *b, const struct mcl_ring *ring, uint64_t seq, struct mcl_abort *abort)
{
	struct mcl_abort_note *note = malloc(sizeof(*note));

	if (!note) {
		free(abort);
		return;
	}
	*note = (struct mcl_abort_note){ .ring = ring, .seq = seq, .abort = abort };
	pthread_mutex_lock(&b->aborts_lock);
	note->next = b->aborts;
	b->aborts = note;
	pthread_mutex_unlock(&b->aborts_lock);
}

struct mcl_abort *mcl_ring_abort(struct mcl_ring *ring, uint64_t seq)
{
	struct mcl_backend *b = ring->backend;
	struct mcl_abort_note **link, *note;
	struct mcl_abort *abort = NULL;

	if (mcl_backend_state(b) == MCL_BACKEND_FORKED)
		return NULL;
	pthread_mutex_lock(&b->aborts_lock);
	for (link = &b->aborts; (note = *link); link = &note->next)
		if (note->ring == ring && note->seq == seq)
			break;
	if (note)
		*link = note->next;
	pthread_mutex_unlock(&b->aborts_lock);
	if (note)
		abort = note->abort;
	free(note);
	return abort;
}

void mcl_aborts_forget(struct mcl_backend *b, const struct mcl_ring *ring)
{
	struct mcl_abort_note **link, *note;

	pthread_mutex_lock(&b->aborts_lock);
	for (link = &b->aborts; (note = *link);) {
		if (note->ring != ring) {
			link = &note->next;
			continue;
		}
		*link = note->next;
		free(note->abort);
		free(note);
	}
	pthread_mutex_unlock(&b->aborts_lock);
}

void mcl_aborts_free(struct mcl_backend *b)
{
	while (b->aborts) {
		struct mcl_abort_note *note = b->aborts;

		b->aborts = note->next;
		free(note->abort);
		free(note);
	}
}
