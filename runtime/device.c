// SPDX-License-Identifier: MIT
/*
 * The one device: listing, references, timers. It is listed also where it cannot run; then CL_DEVICE_AVAILABLE is false.
 * It cannot be partitioned and has no queues of its own. Queries are in device_info.c.
 */
#include <pthread.h>
#include <strings.h>

#include "runtime/context.h"
#include "support/config.h"

struct _cl_device_id mcl_device = {
	.obj = { .dispatch = &mcl_dispatch, .type = MCL_TYPE_DEVICE, .app_refs = 1, .refs = 1 },
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static cl_device_type type = CL_DEVICE_TYPE_GPU;

static void probe(void)
{
	static const struct {
		const char *name;
		cl_device_type type;
	} types[] = {
		{ "gpu", CL_DEVICE_TYPE_GPU },
		{ "cpu", CL_DEVICE_TYPE_CPU },
		{ "accelerator", CL_DEVICE_TYPE_ACCELERATOR },
		{ "custom", CL_DEVICE_TYPE_CUSTOM },
	};
	const char *asked = mcl_config()->device_type;
	bool known = false;

	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
		if (!strcasecmp(asked, types[i].name)) {
			type = types[i].type;
			known = true;
		}
	}
	if (!known)
		mcl_log_write(MCL_LOG_WARN,
			      "MIRRORCL_DEVICE_TYPE='%s' is none of gpu, cpu, accelerator, custom; using gpu", asked);
	mcl_backend_query(&mcl_device.caps);
}

const struct mcl_backend_caps *mcl_device_caps(void)
{
	pthread_once(&once, probe);
	return &mcl_device.caps;
}

cl_device_type mcl_device_type(void)
{
	pthread_once(&once, probe);
	return type;
}

bool mcl_device_matches(cl_device_type asked)
{
	cl_device_type is = mcl_device_type();

	/* A custom device is neither among all devices nor the default one: it must be asked for. */
	if (is == CL_DEVICE_TYPE_CUSTOM)
		return asked != CL_DEVICE_TYPE_ALL && (asked & CL_DEVICE_TYPE_CUSTOM);
	return asked & (is | CL_DEVICE_TYPE_DEFAULT);
}

cl_int clGetDeviceIDs(cl_platform_id platform, cl_device_type device_type, cl_uint num_entries, cl_device_id *devices,
		      cl_uint *num_devices)
{
	const cl_device_type known = CL_DEVICE_TYPE_DEFAULT | CL_DEVICE_TYPE_CPU | CL_DEVICE_TYPE_GPU |
				     CL_DEVICE_TYPE_ACCELERATOR | CL_DEVICE_TYPE_CUSTOM;

	if (platform && !mcl_object_valid(platform, MCL_TYPE_PLATFORM))
		return MCL_ERR(CL_INVALID_PLATFORM, "%p is not a MirrorCL platform", (void *)platform);
	if (!device_type || (device_type != CL_DEVICE_TYPE_ALL && (device_type & ~known)))
		return MCL_ERR(CL_INVALID_DEVICE_TYPE, "0x%llx is not a device type", (unsigned long long)device_type);
	if (!devices && !num_devices)
		return MCL_ERR(CL_INVALID_VALUE, "neither devices nor num_devices is given");
	if (devices && !num_entries)
		return MCL_ERR(CL_INVALID_VALUE, "num_entries is 0 and devices is not NULL");
	if (!mcl_device_matches(device_type)) {
		if (num_devices)
			*num_devices = 0;
		return MCL_ERR(CL_DEVICE_NOT_FOUND, "the device has type '%s' (MIRRORCL_DEVICE_TYPE)",
			       mcl_config()->device_type);
	}
	if (devices)
		devices[0] = &mcl_device;
	if (num_devices)
		*num_devices = 1;
	return CL_SUCCESS;
}

/* A root device is not reference counted. */
cl_int clRetainDevice(cl_device_id device)
{
	if (!mcl_object_valid(device, MCL_TYPE_DEVICE))
		return MCL_ERR(CL_INVALID_DEVICE, "%p is not a MirrorCL device", (void *)device);
	return CL_SUCCESS;
}

cl_int clReleaseDevice(cl_device_id device)
{
	if (!mcl_object_valid(device, MCL_TYPE_DEVICE))
		return MCL_ERR(CL_INVALID_DEVICE, "%p is not a MirrorCL device", (void *)device);
	return CL_SUCCESS;
}

cl_int clCreateSubDevices(cl_device_id in_device, const cl_device_partition_property *properties, cl_uint num_devices,
			  cl_device_id *out_devices, cl_uint *num_devices_ret)
{
	(void)num_devices, (void)out_devices, (void)num_devices_ret;
	if (!mcl_object_valid(in_device, MCL_TYPE_DEVICE))
		return MCL_ERR(CL_INVALID_DEVICE, "%p is not a MirrorCL device", (void *)in_device);
	if (!properties)
		return MCL_ERR(CL_INVALID_VALUE, "properties is NULL");
	return MCL_ERR(CL_INVALID_VALUE, "the device supports no kind of partitioning");
}

cl_int clGetHostTimer(cl_device_id device, cl_ulong *host_timestamp)
{
	if (!mcl_object_valid(device, MCL_TYPE_DEVICE))
		return MCL_ERR(CL_INVALID_DEVICE, "%p is not a MirrorCL device", (void *)device);
	if (!host_timestamp)
		return MCL_ERR(CL_INVALID_VALUE, "host_timestamp is NULL");
	*host_timestamp = mcl_backend_clock_ns();
	return CL_SUCCESS;
}

/* One clock serves host, device and profiling, so the two readings are one. */
cl_int clGetDeviceAndHostTimer(cl_device_id device, cl_ulong *device_timestamp, cl_ulong *host_timestamp)
{
	if (!mcl_object_valid(device, MCL_TYPE_DEVICE))
		return MCL_ERR(CL_INVALID_DEVICE, "%p is not a MirrorCL device", (void *)device);
	if (!device_timestamp || !host_timestamp)
		return MCL_ERR(CL_INVALID_VALUE, "device_timestamp or host_timestamp is NULL");
	*device_timestamp = *host_timestamp = mcl_backend_clock_ns();
	return CL_SUCCESS;
}
