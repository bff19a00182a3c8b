// SPDX-License-Identifier: MIT
/*
 * What a person is told about a kernel that was aborted: which one, where, what it touched, and what lies there in the host. Always
 * printed, once for each packet, before the packet's event ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "engine/host/backend_private.h"

struct mapping {
	uint64_t start, end;
	char perms[5];
	char name[160];
};

/* The mapping at @address, or else the nearest one. Returns 1: found, 0: only near, -1: unknown. */
static int find_mapping(uint64_t address, struct mapping *out)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	uint64_t least = UINT64_MAX;
	char line[512];
	int found = -1;

	if (!maps)
		return -1;
	while (found != 1 && fgets(line, sizeof(line), maps)) {
		struct mapping m = { 0 };
		uint64_t distance;
		int at = 0;

		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %*s %*s %*s %n", &m.start, &m.end, m.perms, &at) < 3)
			continue;
		if (at)
			snprintf(m.name, sizeof(m.name), "%.*s", (int)strcspn(line + at, "\n"), line + at);
		distance = address < m.start ? m.start - address : address >= m.end ? address - m.end + 1 : 0;
		if (distance >= least)
			continue;
		least = distance;
		*out = m;
		found = distance == 0;
	}
	fclose(maps);
	return found;
}

static void describe_place(uint64_t address, char *text, size_t size)
{
	struct mapping m;
	const int found = find_mapping(address, &m);
	const char *const name = found >= 0 && m.name[0] ? m.name : "anonymous memory";

	if (found == 1)
		snprintf(text, size, "there is %s (%s, 0x%" PRIx64 "-0x%" PRIx64 ")", name, m.perms, m.start, m.end);
	else if (address < 65536)
		snprintf(text, size, "a null pointer: nothing is mapped there");
	else if (found == 0)
		snprintf(text, size,
			 "nothing is mapped there; %" PRIu64 " bytes %s %s (%s, 0x%" PRIx64 "-0x%" PRIx64 ")",
			 address < m.start ? m.start - address : address - m.end + 1,
			 address < m.start ? "below" : "after the end of", name, m.perms, m.start, m.end);
	else
		snprintf(text, size, "what is mapped there is not known");
}

static const char *trap_name(const struct mcl_cu_fault *f)
{
	switch (f->trap) {
	case 0:
		return "integer division by zero or overflow";
	case 3:
		return "breakpoint instruction";
	case 6:
		return "illegal instruction";
	case 13:
		return "general protection: an address that is not canonical, or a misaligned vector access";
	case 16:
	case 19:
		return "floating-point exception";
	case 17:
		return "misaligned access";
	default:
		return f->signo == SIGFPE ? "arithmetic exception" :
		       f->signo == SIGILL ? "illegal instruction" :
					    "exception";
	}
}

static void describe_cause(const struct mcl_cu_fault *f, char *text, size_t size)
{
	char place[320];

	if (f->stack_overflow) {
		snprintf(text, size, "its private memory does not fit on the %llu MiB stack of a compute unit",
			 MCL_CU_STACK_SIZE >> 20);
	} else if ((f->signo == SIGSEGV || f->signo == SIGBUS) && f->trap == 14) {
		describe_place(f->address, place, sizeof(place));
		snprintf(text, size, "%s 0x%" PRIx64 ": %s",
			 f->error & 16 ? "jump to" :
			 f->error & 2  ? "write to" :
					 "read from",
			 f->address, place);
	} else {
		snprintf(text, size, "%s", trap_name(f));
	}
}

/* What the packet is, and its number of groups in each dimension. */
static void describe_packet(struct mcl_backend *b, const struct mcl_cu_fault *f, char *text, size_t size)
{
	struct mcl_hw_ring *hw;
	const struct mcl_slot_record *r;
	const struct mcl_packet *p;
	const char *name = NULL;

	pthread_mutex_lock(&b->rings_lock);
	hw = f->ring < MCL_RINGS ? b->hw[f->ring] : NULL;
	pthread_mutex_unlock(&b->rings_lock);
	if (!hw) {
		snprintf(text, size, "a command");
		return;
	}
	p = &hw->mem->slots[f->seq % MCL_RING_SLOTS];
	pthread_mutex_lock(&hw->lock);
	r = &hw->records[f->seq % MCL_RING_SLOTS];
	if (r->code && r->kernel != UINT32_MAX) {
		const struct mcl_code_object *co = r->code->first.co;

		name = mcl_co_string(co, co->kernels[r->kernel].name);
	}
	if (p->op == MCL_OP_KERNEL && name) {
		const uint64_t *n = p->kernel.context.num_groups;

		snprintf(text, size, "kernel '%s' aborted in work-group (%" PRIu64 ", %" PRIu64 ", %" PRIu64 ")", name,
			 f->group % n[0], f->group / n[0] % n[1], f->group / n[0] / n[1]);
	} else if (p->op == MCL_OP_KERNEL) {
		snprintf(text, size, "the initialiser of program-scope variables aborted");
	} else {
		snprintf(text, size, "a %s aborted",
			 p->op == MCL_OP_COPY ? "copy" :
			 p->op == MCL_OP_FILL ? "fill" :
						"command");
	}
	pthread_mutex_unlock(&hw->lock);
}

/* Where in which loaded code the instruction is, for those who disassemble. */
static void describe_code(struct mcl_backend *b, uint64_t pc, char *text, size_t size)
{
	const uint64_t offset = pc - b->window.base;

	text[0] = 0;
	pthread_mutex_lock(&b->programs_lock);
	for (const struct mcl_program_code *p = b->programs; p && !text[0]; p = p->next)
		for (const struct mcl_loaded *l = &p->first; l && !text[0];
		     l = l == &p->first ? atomic_load(&((struct mcl_program_code *)p)->more) : l->next)
			for (uint32_t i = 0; offset - l->offset < l->size && i < l->co->header->images.count; i++)
				if (pc - l->image_base[i] < l->co->images[i].mem_size)
					snprintf(text, size, " [image %u + 0x%" PRIx64 "]", i, pc - l->image_base[i]);
	pthread_mutex_unlock(&b->programs_lock);
}

void mcl_fault_report(struct mcl_backend *b, const struct mcl_cu_fault *fault)
{
	char packet[256], cause[512], code[64], line[1024];
	ssize_t n;

	describe_packet(b, fault, packet, sizeof(packet));
	describe_cause(fault, cause, sizeof(cause));
	describe_code(b, fault->pc, code, sizeof(code));
	n = snprintf(line, sizeof(line), "mirrorcl: %s: %s%s\n", packet, cause, code);
	if (n > (ssize_t)sizeof(line) - 1)
		n = sizeof(line) - 1;
	/* One write, so that it does not mix with the output of others. */
	if (write(STDERR_FILENO, line, (size_t)n) < 0)
		return; /* nobody to tell */
}
