/* SPDX-License-Identifier: MIT */
/* Reading, writing, copying and filling of buffers, whole and by rectangles. */
#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "runtime/transfer.h"

/*
 * Blocking copies of up to this many bytes are done on the calling thread when nothing is under way. A checked copy there
 * costs 2 us and a third of memcpy()'s speed; the engine copies faster but may have to be woken first, some 35 us.
 */
#define DIRECT_BYTES (128 << 10)
#define DIRECT_ROWS 16

int mcl_safe_copy(void *dst, const void *src, size_t size)
{
	uint8_t *to = dst;
	const uint8_t *from = src;

	/* The kernel copies from this process to itself: what would be a signal in a loop of ours is an error there. */
	while (size) {
		struct iovec local = { .iov_base = to, .iov_len = size };
		struct iovec remote = { .iov_base = (void *)(uintptr_t)from, .iov_len = size };
		ssize_t done = process_vm_readv(getpid(), &local, 1, &remote, 1, 0);

		if (done < 0)
			return errno == EFAULT ? -EFAULT : -ENOSYS;
		if (!done)
			return -EFAULT;
		to += done;
		from += done;
		size -= (size_t)done;
	}
	return 0;
}

/* ---- shared with svm_enqueue.c ---- */

/* Returns 0, or -errno: not done here. */
static int copy_here(const struct mcl_copy *copy)
{
	if (copy->region[1] * copy->region[2] > DIRECT_ROWS ||
	    copy->region[0] * copy->region[1] * copy->region[2] > DIRECT_BYTES)
		return -E2BIG;
	for (uint64_t z = 0; z < copy->region[2]; z++) {
		for (uint64_t y = 0; y < copy->region[1]; y++) {
			uint8_t *dst = (uint8_t *)copy->dst + z * copy->dst_slice + y * copy->dst_row;
			const uint8_t *src = (const uint8_t *)copy->src + z * copy->src_slice + y * copy->src_row;
			int err = mcl_safe_copy(dst, src, copy->region[0]);

			if (err)
				return err;
		}
	}
	return 0;
}

cl_int mcl_copy_enqueue(const struct mcl_enqueue *call, bool blocking, const struct mcl_copy *copy,
			const cl_mem mems[2])
{
	struct mcl_request req = {
		.function = call->function,
		.queue = call->queue,
		.type = call->type,
		.payload = { .kind = MCL_COMMAND_COPY, .copy = *copy },
		.blocking = blocking,
		.num_events = call->num_events,
		.wait_list = call->wait_list,
		.event = call->event,
		.mems = mems,
		.mem_count = mems ? 2 : 0,
	};

	if (!copy->region[0] || copy->dst == copy->src)
		req.payload.kind = MCL_COMMAND_NOP;
	if (blocking && req.payload.kind == MCL_COMMAND_COPY &&
	    mcl_command_idle(call->queue, call->num_events, call->wait_list)) {
		uint64_t start = mcl_backend_clock_ns();
		int err = copy_here(copy);

		if (!err)
			return mcl_command_done_here(&req, start, mcl_backend_clock_ns());
		if (err == -EFAULT)
			return mcl_cl_error(call->function, CL_OUT_OF_RESOURCES,
					    "%p or %p is not accessible for the %llu bytes of the copy", copy->dst,
					    copy->src, (unsigned long long)copy->region[0]);
	}
	return mcl_command_enqueue(&req);
}

cl_int mcl_fill_check(const char *function, const void *pattern, size_t pattern_size, size_t offset, size_t size)
{
	if (!pattern)
		return mcl_cl_error(function, CL_INVALID_VALUE, "pattern is NULL");
	if (!pattern_size || pattern_size > 128 || (pattern_size & (pattern_size - 1)))
		return mcl_cl_error(function, CL_INVALID_VALUE, "pattern_size %zu is not a power of two up to 128",
				    pattern_size);
	if (offset % pattern_size || size % pattern_size)
		return mcl_cl_error(function, CL_INVALID_VALUE,
				    "offset (or address) %zu and size %zu are not both multiples of pattern_size %zu",
				    offset, size, pattern_size);
	return CL_SUCCESS;
}

cl_int mcl_fill_enqueue(const struct mcl_enqueue *call, void *dst, const void *pattern, size_t pattern_size,
			size_t size, cl_mem mem)
{
	struct mcl_request req = {
		.function = call->function,
		.queue = call->queue,
		.type = call->type,
		.payload = {
			.kind = size ? MCL_COMMAND_FILL : MCL_COMMAND_NOP,
			.fill = { .dst = dst, .size = size, .pattern = pattern, .pattern_size = (uint32_t)pattern_size },
		},
		.num_events = call->num_events,
		.wait_list = call->wait_list,
		.event = call->event,
		.mems = &mem,
		.mem_count = 1,
	};

	return mcl_command_enqueue(&req);
}

/* ---- linear ---- */

static cl_int read_or_write(const struct mcl_enqueue *call, bool write, cl_mem buffer, cl_bool blocking, size_t offset,
			    size_t size, void *ptr)
{
	cl_mem_flags forbidden = CL_MEM_HOST_NO_ACCESS | (write ? CL_MEM_HOST_READ_ONLY : CL_MEM_HOST_WRITE_ONLY);
	cl_mem mems[2] = { buffer, NULL };
	cl_int err = mcl_enqueue_check(call->function, call->queue, call->num_events, call->wait_list);
	struct mcl_copy copy = { .region = { size, 1, 1 } };

	if (!err)
		err = mcl_buffer_check(call->function, call->queue, buffer, offset, size);
	if (err)
		return err;
	if (!ptr)
		return mcl_cl_error(call->function, CL_INVALID_VALUE, "ptr is NULL");
	if (buffer->flags & forbidden)
		return mcl_cl_error(call->function, CL_INVALID_OPERATION, "the buffer's flags forbid the host to %s it",
				    write ? "write" : "read");
	copy.dst = write ? buffer->data + offset : ptr;
	copy.src = write ? ptr : buffer->data + offset;
	return mcl_copy_enqueue(call, blocking, &copy, mems);
}

cl_int clEnqueueReadBuffer(cl_command_queue queue, cl_mem buffer, cl_bool blocking_read, size_t offset, size_t size,
			   void *ptr, cl_uint num_events, const cl_event *wait_list, cl_event *event)
{
	const struct mcl_enqueue call = { __func__, queue, CL_COMMAND_READ_BUFFER, num_events, wait_list, event };

	return read_or_write(&call, false, buffer, blocking_read, offset, size, ptr);
}

cl_int clEnqueueWriteBuffer(cl_command_queue queue, cl_mem buffer, cl_bool blocking_write, size_t offset, size_t size,
			    const void *ptr, cl_uint num_events, const cl_event *wait_list, cl_event *event)
{
	const struct mcl_enqueue call = { __func__, queue, CL_COMMAND_WRITE_BUFFER, num_events, wait_list, event };

	return read_or_write(&call, true, buffer, blocking_write, offset, size, (void *)(uintptr_t)ptr);
}

/* Of one buffer, or of the same buffer through sub-buffers. Different buffers on the same host memory are undefined. */
static bool same_storage(cl_mem a, cl_mem b)
{
	return (a->parent ? a->parent : a) == (b->parent ? b->parent : b);
}

cl_int clEnqueueCopyBuffer(cl_command_queue queue, cl_mem src_buffer, cl_mem dst_buffer, size_t src_offset,
			   size_t dst_offset, size_t size, cl_uint num_events, const cl_event *wait_list,
			   cl_event *event)
{
	const struct mcl_enqueue call = { __func__, queue, CL_COMMAND_COPY_BUFFER, num_events, wait_list, event };
	cl_mem mems[2] = { src_buffer, dst_buffer };
	struct mcl_copy copy = { .region = { size, 1, 1 } };
	uint8_t *dst, *src;
	cl_int err;

	err = mcl_enqueue_check(__func__, queue, num_events, wait_list);
	if (!err)
		err = mcl_buffer_check(__func__, queue, src_buffer, src_offset, size);
	if (!err)
		err = mcl_buffer_check(__func__, queue, dst_buffer, dst_offset, size);
	if (err)
		return err;
	src = src_buffer->data + src_offset;
	dst = dst_buffer->data + dst_offset;
	if (same_storage(src_buffer, dst_buffer) && src < dst + size && dst < src + size)
		return MCL_ERR(CL_MEM_COPY_OVERLAP, "source and destination overlap");
	copy.src = src;
	copy.dst = dst;
	return mcl_copy_enqueue(&call, false, &copy, mems);
}

cl_int clEnqueueFillBuffer(cl_command_queue queue, cl_mem buffer, const void *pattern, size_t pattern_size,
			   size_t offset, size_t size, cl_uint num_events, const cl_event *wait_list, cl_event *event)
{
	const struct mcl_enqueue call = { __func__, queue, CL_COMMAND_FILL_BUFFER, num_events, wait_list, event };
	cl_int err = mcl_enqueue_check(__func__, queue, num_events, wait_list);

	if (!err)
		err = mcl_buffer_check(__func__, queue, buffer, offset, size);
	if (!err)
		err = mcl_fill_check(__func__, pattern, pattern_size, offset, size);
	if (err)
		return err;
	return mcl_fill_enqueue(&call, buffer->data + offset, pattern, pattern_size, size, buffer);
}

/* ---- rectangles ---- */

/* One side of a rectangular copy. Rows do not overlap and neither do slices, once check_side() has seen it. */
struct side {
	const char *name;
	const size_t *origin;
	size_t row, slice; /* pitches in bytes; 0: dense */
	size_t start, end; /* bytes from the beginning of the memory: of the first byte, behind the last */
};

/* Fill in default pitches and compute the extent. @limit: bytes of the memory, SIZE_MAX for host pointers. */
static cl_int check_side(const char *function, struct side *side, const size_t region[3], size_t limit)
{
	const size_t *at = side->origin;
	size_t plane, a, b, c;

	if (side->row && side->row < region[0])
		return mcl_cl_error(function, CL_INVALID_VALUE, "%s row pitch %zu is less than the region's width %zu",
				    side->name, side->row, region[0]);
	if (!side->row)
		side->row = region[0];
	if (__builtin_mul_overflow(region[1], side->row, &plane))
		return mcl_cl_error(function, CL_INVALID_VALUE, "the %s region is too large", side->name);
	if (side->slice && (side->slice < plane || side->slice % side->row))
		return mcl_cl_error(function, CL_INVALID_VALUE,
				    "%s slice pitch %zu is less than %zu rows of %zu, or no multiple of the row pitch",
				    side->name, side->slice, region[1], side->row);
	if (!side->slice)
		side->slice = plane;
	if (__builtin_mul_overflow(at[2], side->slice, &a) || __builtin_mul_overflow(at[1], side->row, &b) ||
	    __builtin_add_overflow(a, b, &c) || __builtin_add_overflow(c, at[0], &side->start) ||
	    __builtin_mul_overflow(region[2] - 1, side->slice, &a) ||
	    __builtin_mul_overflow(region[1] - 1, side->row, &b) || __builtin_add_overflow(a, b, &c) ||
	    __builtin_add_overflow(c, region[0], &c) || __builtin_add_overflow(side->start, c, &side->end) ||
	    side->end > limit)
		return mcl_cl_error(function, CL_INVALID_VALUE, "the %s region is out of bounds", side->name);
	return CL_SUCCESS;
}

static cl_int check_region(const char *function, const size_t *a, const size_t *b, const size_t *region)
{
	if (!a || !b || !region)
		return mcl_cl_error(function, CL_INVALID_VALUE, "an origin or the region is NULL");
	if (!region[0] || !region[1] || !region[2])
		return mcl_cl_error(function, CL_INVALID_VALUE, "the region is %zu x %zu x %zu", region[0], region[1],
				    region[2]);
	return CL_SUCCESS;
}

static cl_int rect_read_or_write(const struct mcl_enqueue *call, bool write, cl_mem buffer, cl_bool blocking,
				 struct side *mem, struct side *host, const size_t *region, void *ptr)
{
	cl_mem_flags forbidden = CL_MEM_HOST_NO_ACCESS | (write ? CL_MEM_HOST_READ_ONLY : CL_MEM_HOST_WRITE_ONLY);
	cl_mem mems[2] = { buffer, NULL };
	cl_int err = mcl_enqueue_check(call->function, call->queue, call->num_events, call->wait_list);
	const struct side *dst = write ? mem : host, *src = write ? host : mem;
	struct mcl_copy copy;

	if (!err)
		err = mcl_buffer_check(call->function, call->queue, buffer, 0, 0);
	if (err)
		return err;
	if (!ptr)
		return mcl_cl_error(call->function, CL_INVALID_VALUE, "ptr is NULL");
	err = check_region(call->function, mem->origin, host->origin, region);
	if (!err)
		err = check_side(call->function, mem, region, buffer->size);
	if (!err)
		err = check_side(call->function, host, region, SIZE_MAX - (uintptr_t)ptr);
	if (err)
		return err;
	if (buffer->flags & forbidden)
		return mcl_cl_error(call->function, CL_INVALID_OPERATION, "the buffer's flags forbid the host to %s it",
				    write ? "write" : "read");
	copy = (struct mcl_copy){
		.dst = (write ? buffer->data : (uint8_t *)ptr) + dst->start,
		.src = (write ? (uint8_t *)ptr : buffer->data) + src->start,
		.region = { region[0], region[1], region[2] },
		.dst_row = dst->row,
		.dst_slice = dst->slice,
		.src_row = src->row,
		.src_slice = src->slice,
	};
	return mcl_copy_enqueue(call, blocking, &copy, mems);
}

cl_int clEnqueueReadBufferRect(cl_command_queue queue, cl_mem buffer, cl_bool blocking_read,
			       const size_t *buffer_origin, const size_t *host_origin, const size_t *region,
			       size_t buffer_row_pitch, size_t buffer_slice_pitch, size_t host_row_pitch,
			       size_t host_slice_pitch, void *ptr, cl_uint num_events, const cl_event *wait_list,
			       cl_event *event)
{
	const struct mcl_enqueue call = { __func__, queue, CL_COMMAND_READ_BUFFER_RECT, num_events, wait_list, event };
	struct side mem = { "buffer", buffer_origin, buffer_row_pitch, buffer_slice_pitch, 0, 0 };
	struct side host = { "host", host_origin, host_row_pitch, host_slice_pitch, 0, 0 };

	return rect_read_or_write(&call, false, buffer, blocking_read, &mem, &host, region, ptr);
}

cl_int clEnqueueWriteBufferRect(cl_command_queue queue, cl_mem buffer, cl_bool blocking_write,
				const size_t *buffer_origin, const size_t *host_origin, const size_t *region,
				size_t buffer_row_pitch, size_t buffer_slice_pitch, size_t host_row_pitch,
				size_t host_slice_pitch, const void *ptr, cl_uint num_events, const cl_event *wait_list,
				cl_event *event)
{
	const struct mcl_enqueue call = { __func__, queue, CL_COMMAND_WRITE_BUFFER_RECT, num_events, wait_list, event };
	struct side mem = { "buffer", buffer_origin, buffer_row_pitch, buffer_slice_pitch, 0, 0 };
	struct side host = { "host", host_origin, host_row_pitch, host_slice_pitch, 0, 0 };

	return rect_read_or_write(&call, true, buffer, blocking_write, &mem, &host, region, (void *)(uintptr_t)ptr);
}

/*
 * Do two boxes of @region share a byte? Starts are relative to the same memory. Row by row of the one: the rows of the
 * other lie in ascending order, so only the last that begins before this row ends can reach into it.
 */
static bool boxes_overlap(size_t a_start, const struct side *a, size_t b_start, const struct side *b,
			  const size_t region[3])
{
	size_t a_end = a_start + (a->end - a->start), b_end = b_start + (b->end - b->start);

	if (a_end <= b_start || b_end <= a_start)
		return false;
	for (size_t z = 0; z < region[2]; z++) {
		for (size_t y = 0; y < region[1]; y++) {
			size_t row = a_start + z * a->slice + y * a->row, last, bz, by;

			if (row + region[0] <= b_start)
				continue;
			last = row + region[0] - 1 - b_start;
			bz = last / b->slice < region[2] ? last / b->slice : region[2] - 1;
			by = (last - bz * b->slice) / b->row;
			if (by >= region[1])
				by = region[1] - 1;
			if (b_start + bz * b->slice + by * b->row + region[0] > row)
				return true;
		}
	}
	return false;
}

cl_int clEnqueueCopyBufferRect(cl_command_queue queue, cl_mem src_buffer, cl_mem dst_buffer, const size_t *src_origin,
			       const size_t *dst_origin, const size_t *region, size_t src_row_pitch,
			       size_t src_slice_pitch, size_t dst_row_pitch, size_t dst_slice_pitch, cl_uint num_events,
			       const cl_event *wait_list, cl_event *event)
{
	const struct mcl_enqueue call = { __func__, queue, CL_COMMAND_COPY_BUFFER_RECT, num_events, wait_list, event };
	struct side src = { "source", src_origin, src_row_pitch, src_slice_pitch, 0, 0 };
	struct side dst = { "destination", dst_origin, dst_row_pitch, dst_slice_pitch, 0, 0 };
	cl_mem mems[2] = { src_buffer, dst_buffer };
	struct mcl_copy copy;
	cl_int err;

	err = mcl_enqueue_check(__func__, queue, num_events, wait_list);
	if (!err)
		err = mcl_buffer_check(__func__, queue, src_buffer, 0, 0);
	if (!err)
		err = mcl_buffer_check(__func__, queue, dst_buffer, 0, 0);
	if (!err)
		err = check_region(__func__, src_origin, dst_origin, region);
	if (!err)
		err = check_side(__func__, &src, region, src_buffer->size);
	if (!err)
		err = check_side(__func__, &dst, region, dst_buffer->size);
	if (err)
		return err;
	if (src_buffer == dst_buffer && (src.row != dst.row || src.slice != dst.slice))
		return MCL_ERR(CL_INVALID_VALUE, "within one buffer the pitches must be the same");
	if (same_storage(src_buffer, dst_buffer) &&
	    boxes_overlap(src_buffer->origin + src.start, &src, dst_buffer->origin + dst.start, &dst, region))
		return MCL_ERR(CL_MEM_COPY_OVERLAP, "source and destination overlap");
	copy = (struct mcl_copy){
		.dst = dst_buffer->data + dst.start,
		.src = src_buffer->data + src.start,
		.region = { region[0], region[1], region[2] },
		.dst_row = dst.row,
		.dst_slice = dst.slice,
		.src_row = src.row,
		.src_slice = src.slice,
	};
	return mcl_copy_enqueue(&call, false, &copy, mems);
}
