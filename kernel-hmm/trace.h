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

#include "hmm_mirror.h"

/* The names are hm_way_name()'s and hm_cause_name()'s, but user space decodes these. */
#define hm_show_way(way)							\
	__print_symbolic(way,							\
			 { HMM_MIRROR_WAY_TO_VRAM, "to-vram" },			\
			 { HMM_MIRROR_WAY_HOME, "home" })
#define hm_show_cause(cause)							\
	__print_symbolic(cause,							\
			 { HMM_MIRROR_CAUSE_REQUEST, "request" },		\
			 { HMM_MIRROR_CAUSE_FAULT, "device-fault" },		\
			 { HMM_MIRROR_CAUSE_PREFETCH, "prefetch" },		\
			 { HMM_MIRROR_CAUSE_THRASH, "thrash" },			\
			 { HMM_MIRROR_CAUSE_ROOM, "room" },			\
			 { HMM_MIRROR_CAUSE_CPU, "cpu-fault" },			\
			 { HMM_MIRROR_CAUSE_TRIM, "trim" },			\
			 { HMM_MIRROR_CAUSE_PEER, "peer" },			\
			 { HMM_MIRROR_CAUSE_UNLOAD, "unload" })

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
	TP_PROTO(const void *mm, unsigned long first, unsigned long pages, bool huge,
		 bool exclusive),
	TP_ARGS(mm, first, pages, huge, exclusive),
	TP_STRUCT__entry(
		__field(const void *, mm)
		__field(unsigned long, first)
		__field(unsigned long, pages)
		__field(bool, huge)
		__field(bool, exclusive)
	),
	TP_fast_assign(
		__entry->mm = mm;
		__entry->first = first;
		__entry->pages = pages;
		__entry->huge = huge;
		__entry->exclusive = exclusive;
	),
	TP_printk("mm=%p page=%#lx pages=%lu%s%s", __entry->mm, __entry->first, __entry->pages,
		  __entry->huge ? " huge" : "", __entry->exclusive ? " exclusive" : "")
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

/* A window was moved. For the cause "unload", the page is one of VRAM. */
TRACE_EVENT(hmm_mirror_migrate,
	TP_PROTO(const void *mm, unsigned long first, unsigned long pages, unsigned long moved,
		 int way, int cause),
	TP_ARGS(mm, first, pages, moved, way, cause),
	TP_STRUCT__entry(
		__field(const void *, mm)
		__field(unsigned long, first)
		__field(unsigned long, pages)
		__field(unsigned long, moved)
		__field(int, way)
		__field(int, cause)
	),
	TP_fast_assign(
		__entry->mm = mm;
		__entry->first = first;
		__entry->pages = pages;
		__entry->moved = moved;
		__entry->way = way;
		__entry->cause = cause;
	),
	TP_printk("mm=%p page=%#lx pages=%lu moved=%lu way=%s cause=%s", __entry->mm,
		  __entry->first, __entry->pages, __entry->moved, hm_show_way(__entry->way),
		  hm_show_cause(__entry->cause))
);

/* TRIM looked for the least recently used; what it moved are events of their own. */
TRACE_EVENT(hmm_mirror_evict,
	TP_PROTO(const void *mm, unsigned long wanted, unsigned long done),
	TP_ARGS(mm, wanted, done),
	TP_STRUCT__entry(
		__field(const void *, mm)
		__field(unsigned long, wanted)
		__field(unsigned long, done)
	),
	TP_fast_assign(
		__entry->mm = mm;
		__entry->wanted = wanted;
		__entry->done = done;
	),
	TP_printk("mm=%p wanted=%lu done=%lu", __entry->mm, __entry->wanted, __entry->done)
);

#endif

#undef TRACE_INCLUDE_PATH
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_PATH .
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
