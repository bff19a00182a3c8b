/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tracepoints, in /sys/kernel/tracing/events/hmm_mirror. Addresses and sizes are
 * pages; "mm" tells processes apart and means nothing else.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM hmm_mirror

#if !defined(HM_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define HM_TRACE_H

#include <linux/tracepoint.h>

/* Why pages were moved: numbers, because user space decodes them. */
#ifndef HM_CAUSE_REQUEST
#define HM_CAUSE_REQUEST	0
#define HM_CAUSE_CPU		1
#define HM_CAUSE_EVICT		2
#define HM_CAUSE_EXIT		3
#endif

/* A device fault, when it is queued or joins one. */
TRACE_EVENT(hmm_mirror_fault,
	TP_PROTO(const void *mm, unsigned long index, bool write, bool merged),
	TP_ARGS(mm, index, write, merged),
	TP_STRUCT__entry(
		__field(const void *, mm)
		__field(unsigned long, index)
		__field(bool, write)
		__field(bool, merged)
	),
	TP_fast_assign(
		__entry->mm = mm;
		__entry->index = index;
		__entry->write = write;
		__entry->merged = merged;
	),
	TP_printk("mm=%p page=%#lx %s%s", __entry->mm, __entry->index,
		  __entry->write ? "write" : "read", __entry->merged ? " merged" : "")
);

/* Entries were made in the device page table. */
TRACE_EVENT(hmm_mirror_map,
	TP_PROTO(const void *mm, unsigned long first, unsigned long pages, bool huge),
	TP_ARGS(mm, first, pages, huge),
	TP_STRUCT__entry(
		__field(const void *, mm)
		__field(unsigned long, first)
		__field(unsigned long, pages)
		__field(bool, huge)
	),
	TP_fast_assign(
		__entry->mm = mm;
		__entry->first = first;
		__entry->pages = pages;
		__entry->huge = huge;
	),
	TP_printk("mm=%p page=%#lx pages=%lu%s", __entry->mm, __entry->first, __entry->pages,
		  __entry->huge ? " huge" : "")
);

/* Entries were taken away. */
TRACE_EVENT(hmm_mirror_invalidate,
	TP_PROTO(const void *mm, unsigned int event, unsigned long from, unsigned long to,
		 unsigned long pages),
	TP_ARGS(mm, event, from, to, pages),
	TP_STRUCT__entry(
		__field(const void *, mm)
		__field(unsigned int, event)
		__field(unsigned long, from)
		__field(unsigned long, to)
		__field(unsigned long, pages)
	),
	TP_fast_assign(
		__entry->mm = mm;
		__entry->event = event;
		__entry->from = from;
		__entry->to = to;
		__entry->pages = pages;
	),
	TP_printk("mm=%p event=%u page=%#lx..%#lx pages=%lu", __entry->mm, __entry->event,
		  __entry->from, __entry->to, __entry->pages)
);

/* A window was moved: to VRAM on request, home for any other cause. */
TRACE_EVENT(hmm_mirror_migrate,
	TP_PROTO(const void *mm, unsigned long first, unsigned long pages, unsigned long moved,
		 int cause),
	TP_ARGS(mm, first, pages, moved, cause),
	TP_STRUCT__entry(
		__field(const void *, mm)
		__field(unsigned long, first)
		__field(unsigned long, pages)
		__field(unsigned long, moved)
		__field(int, cause)
	),
	TP_fast_assign(
		__entry->mm = mm;
		__entry->first = first;
		__entry->pages = pages;
		__entry->moved = moved;
		__entry->cause = cause;
	),
	TP_printk("mm=%p page=%#lx pages=%lu moved=%lu cause=%s", __entry->mm, __entry->first,
		  __entry->pages, __entry->moved,
		  __print_symbolic(__entry->cause, { HM_CAUSE_REQUEST, "request" },
				   { HM_CAUSE_CPU, "cpu-fault" }, { HM_CAUSE_EVICT, "evict" },
				   { HM_CAUSE_EXIT, "exit" }))
);

#endif

#undef TRACE_INCLUDE_PATH
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_PATH .
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
