/* SPDX-License-Identifier: MIT */

/* The same structures as in wordcount.c. */
struct word {
	global struct word *next;
	global const char *text;
	ulong length;
	atomic_uint count;
	uint expected;
};

struct slice {
	global const char *begin, *end;
	global const char *file_begin, *file_end;
};

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static char to_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
}

static bool same_text(global const struct word *w, global const char *text, ulong length)
{
	if (w->length != length)
		return false;
	for (ulong i = 0; i < length; i++)
		if (w->text[i] != to_lower(text[i]))
			return false;
	return true;
}

/*
 * Each work-item counts the words that begin in its slice of a file: it reads the text where mmap put it, finds each word in the
 * host's hash table and adds one. Words that are not in the table are counted in *unknown.
 */
kernel void count_words(global const struct slice *slices, ulong num_slices, global struct word *global *buckets,
			ulong num_buckets, global atomic_uint *unknown)
{
	size_t index = get_global_id(0);

	if (index >= num_slices)
		return;

	global const char *p = slices[index].begin, *end = slices[index].end;
	global const char *file_end = slices[index].file_end;

	/* A word that began in the slice before is not ours. */
	if (p > slices[index].file_begin && is_letter(p[-1]))
		while (p < end && is_letter(*p))
			p++;

	while (p < end) {
		global const char *word = p;
		ulong hash = 5381;
		global struct word *w;

		while (p < file_end && is_letter(*p))
			hash = hash * 33 + (uchar)to_lower(*p++);
		if (p == word) {
			p++;
			continue;
		}
		for (w = buckets[hash % num_buckets]; w; w = w->next)
			if (same_text(w, word, p - word))
				break;
		atomic_fetch_add_explicit(w ? &w->count : unknown, 1, memory_order_relaxed, memory_scope_device);
	}
}
