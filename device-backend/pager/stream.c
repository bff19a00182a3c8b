// SPDX-License-Identifier: MIT
/*
 * How much to move for one fault: 64 KiB at first; each fault just behind the last chunk doubles it, up to 2 MiB. Several
 * sequences at once are told apart (one for each compute unit, say); what is forgotten starts small again.
 */
#include "pager/pager_private.h"

static int find(struct mcl_streams *s, uint64_t page)
{
	for (int i = 0; i < STREAMS; i++)
		if (s->s[i].size && page >= s->s[i].end && page < s->s[i].end + s->s[i].size)
			return i;
	return -1;
}

uint64_t mcl_stream_chunk(struct mcl_streams *s, uint64_t page, uint64_t first, uint64_t most)
{
	int i = find(s, page);

	if (i < 0)
		return first;
	return s->s[i].size * 2 > most ? most : s->s[i].size * 2;
}

void mcl_stream_done(struct mcl_streams *s, uint64_t page, uint64_t end, uint64_t size)
{
	int i = find(s, page);

	if (i < 0) {
		i = 0;
		for (int k = 1; k < STREAMS; k++)
			if (s->s[k].used < s->s[i].used)
				i = k;
	}
	s->s[i].end = end;
	s->s[i].size = size;
	s->s[i].used = ++s->clock;
}
