// SPDX-License-Identifier: MIT
/*
 * wordcount [FILE...]: how often does each word occur? The host maps the files and builds a hash table of their words, out of
 * malloc'd entries and strings. The device then reads the mapped files and counts into that very table with atomics. Without
 * arguments it reads the licence texts that come with every Debian.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common.h"
#include "wordcount.cl.h"

#define DEFAULT_FILES "/usr/share/common-licenses/*"
enum { NUM_BUCKETS = 4096, SLICE_BYTES = 2048, GROUP_SIZE = 16 };

/* An entry of the hash table. The kernel has the same declaration. */
struct word {
	struct word *next;
	const char *text; /* lower case, malloc'd */
	size_t length;
	atomic_uint count; /* by the device */
	unsigned int expected; /* by the host */
};

/* A piece of one file, for one work-item. */
struct slice {
	const char *begin, *end;
	const char *file_begin, *file_end;
};

struct work {
	struct word **buckets;
	size_t num_words;
	struct slice *slices;
	size_t num_slices;
	size_t files, bytes; /* that are counted */
};

/* Letters are those of ASCII, whatever the locale says. */
static int is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Add one to the host's own count of a word, and add the word to the table when it is new. */
static void count_on_host(struct work *work, const char *text, size_t length)
{
	char *lower = sample_malloc(length + 1);
	unsigned long hash = 5381;
	struct word **bucket, *w;

	for (size_t i = 0; i < length; i++) {
		lower[i] = (char)tolower((unsigned char)text[i]);
		hash = hash * 33 + (unsigned char)lower[i];
	}
	lower[length] = '\0';
	bucket = &work->buckets[hash % NUM_BUCKETS];
	for (w = *bucket; w; w = w->next) {
		if (!strcmp(w->text, lower)) {
			w->expected++;
			free(lower);
			return;
		}
	}
	w = sample_malloc(sizeof(*w));
	w->text = lower;
	w->length = length;
	atomic_init(&w->count, 0);
	w->expected = 1;
	w->next = *bucket;
	*bucket = w;
	work->num_words++;
}

/* Map a file, add its words to the table and its slices to the list. What cannot be mapped is left out, and that is said. */
static void add_file(struct work *work, const char *path)
{
	const char *text, *p, *end, *reason = NULL;
	struct stat st;
	int fd = open(path, O_RDONLY | O_NONBLOCK); /* a FIFO without a writer would wait for one */

	if (fd < 0 || fstat(fd, &st))
		reason = strerror(errno);
	else if (!S_ISREG(st.st_mode))
		reason = "no regular file";
	else if (st.st_size == 0)
		reason = "empty";
	if (reason) {
		fprintf(stderr, "wordcount: %s: %s (left out)\n", path, reason);
		if (fd >= 0)
			close(fd);
		return;
	}
	text = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (text == MAP_FAILED)
		sample_fail("mmap of %s: %s", path, strerror(errno));

	end = text + st.st_size;
	for (p = text; p < end; p++) {
		const char *word = p;

		while (p < end && is_letter(*p))
			p++;
		if (p > word)
			count_on_host(work, word, p - word);
	}
	for (p = text; p < end; p += SLICE_BYTES) {
		if (work->num_slices % 1024 == 0) {
			work->slices = realloc(work->slices, (work->num_slices + 1024) * sizeof(struct slice));
			if (!work->slices)
				sample_fail("out of memory");
		}
		work->slices[work->num_slices++] = (struct slice){
			.begin = p,
			.end = end - p < SLICE_BYTES ? end : p + SLICE_BYTES,
			.file_begin = text,
			.file_end = end,
		};
	}
	work->files++;
	work->bytes += (size_t)st.st_size;
}

static int by_count(const void *a, const void *b)
{
	const struct word *x = *(struct word *const *)a, *y = *(struct word *const *)b;

	if (x->count != y->count)
		return x->count < y->count ? 1 : -1;
	return strcmp(x->text, y->text);
}

/* Every word's count must be the host's. Prints the most frequent ones. */
static void check_and_print(const struct work *work)
{
	struct word **words = sample_malloc(work->num_words * sizeof(*words));
	size_t n = 0;

	for (int b = 0; b < NUM_BUCKETS; b++)
		for (struct word *w = work->buckets[b]; w; w = w->next)
			words[n++] = w;
	qsort(words, n, sizeof(*words), by_count);
	for (size_t i = 0; i < n && i < 10; i++)
		printf("%8u %s\n", words[i]->count, words[i]->text);
	for (size_t i = 0; i < n; i++)
		if (words[i]->count != words[i]->expected)
			sample_fail("the device counted '%s' %u times, the host %u times", words[i]->text,
				    words[i]->count, words[i]->expected);
	free(words);
}

int main(int argc, char **argv)
{
	atomic_uint unknown = 0; /* the device counts into this variable of ours, too */
	cl_ulong num_buckets = NUM_BUCKETS, num_slices;
	struct work work = { 0 };
	struct sample s;
	cl_kernel kernel;
	size_t items;

	if (argc > 1 && argv[1][0] == '-') {
		printf("Usage: wordcount [FILE]...\n"
		       "Count the words of text files on the device; without FILE those of %s.\n",
		       DEFAULT_FILES);
		return strcmp(argv[1], "--help") ? 2 : EXIT_SUCCESS;
	}
	sample_open(&s, "wordcount");
	work.buckets = calloc(NUM_BUCKETS, sizeof(*work.buckets));
	if (!work.buckets)
		sample_fail("out of memory");
	if (argc > 1) {
		for (int i = 1; i < argc; i++)
			add_file(&work, argv[i]);
	} else {
		glob_t found;

		if (glob(DEFAULT_FILES, 0, NULL, &found))
			sample_fail("there is nothing in %s; name some text files", DEFAULT_FILES);
		for (size_t i = 0; i < found.gl_pathc; i++)
			add_file(&work, found.gl_pathv[i]);
		globfree(&found);
	}
	printf("%zu files, %zu bytes, %zu different words\n", work.files, work.bytes, work.num_words);
	if (!work.num_words)
		sample_fail("there are no words to count");

	kernel = sample_kernel(&s, wordcount_cl, "count_words");
	num_slices = work.num_slices;
	CHECK(clSetKernelArgSVMPointer(kernel, 0, work.slices));
	CHECK(clSetKernelArg(kernel, 1, sizeof(num_slices), &num_slices));
	CHECK(clSetKernelArgSVMPointer(kernel, 2, work.buckets));
	CHECK(clSetKernelArg(kernel, 3, sizeof(num_buckets), &num_buckets));
	CHECK(clSetKernelArgSVMPointer(kernel, 4, &unknown));
	items = (work.num_slices + GROUP_SIZE - 1) / GROUP_SIZE * GROUP_SIZE;
	sample_run(&s, kernel, items, GROUP_SIZE);

	check_and_print(&work);
	if (unknown)
		sample_fail("the device met %u words that are not in the table", unknown);

	CHECK(clReleaseKernel(kernel));
	sample_close(&s);
	printf("wordcount: ok\n");
	return EXIT_SUCCESS; /* the table, its strings and the mapped files go with the process */
}
