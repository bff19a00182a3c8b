// SPDX-License-Identifier: MIT
/*
 * Every query of the device. What the compiler decides (extensions of the language, features, numbers of the
 * work-group functions) is what POCL 6.0's CPU compiler does; what the engine decides comes from mcl_device_caps(). What
 * POCL's device would have and this one has not: images, built-in and native kernels, partitioning.
 */
#include <string.h>

#include "runtime/context.h"

#define MAX_CONSTANT_BUFFER (64ull << 20)

/*
 * cl_khr_subgroups is not here although the language has subgroups (__opencl_c_subgroups): that extension promises
 * independent forward progress, and the subgroups of a work-group run on one thread.
 */
#define DEVICE_EXTENSIONS(X)                                                                                           \
	X(cl_khr_byte_addressable_store, 1, 0, 0)                                                                      \
	X(cl_khr_global_int32_base_atomics, 1, 0, 0)                                                                   \
	X(cl_khr_global_int32_extended_atomics, 1, 0, 0)                                                               \
	X(cl_khr_local_int32_base_atomics, 1, 0, 0)                                                                    \
	X(cl_khr_local_int32_extended_atomics, 1, 0, 0)                                                                \
	X(cl_khr_int64_base_atomics, 1, 0, 0)                                                                          \
	X(cl_khr_int64_extended_atomics, 1, 0, 0)                                                                      \
	X(cl_khr_il_program, 1, 0, 0)                                                                                  \
	X(cl_khr_fp64, 1, 0, 0)                                                                                        \
	X(cl_khr_subgroup_ballot, 1, 0, 0)                                                                             \
	X(cl_khr_subgroup_shuffle, 1, 0, 0)                                                                            \
	X(cl_intel_unified_shared_memory, 1, 0, 0)                                                                     \
	X(cl_ext_float_atomics, 1, 0, 0)                                                                               \
	X(cl_khr_extended_versioning, 1, 0, 0)                                                                         \
	X(cl_mirrorcl_counters, 1, 0, 0)                                                                               \
	X(cl_mirrorcl_abort, 1, 0, 0)

#ifdef CL_ICD2_TAG_KHR
#define PLATFORM_EXTENSIONS(X) X(cl_khr_icd, 2, 0, 0)
#else
#define PLATFORM_EXTENSIONS(X) X(cl_khr_icd, 1, 0, 0)
#endif

#define AS_STRING(name, major, minor, patch) #name " "
#define AS_VERSION(name, major, minor, patch) { CL_MAKE_VERSION(major, minor, patch), #name },

/* A trailing space is customary; whoever looks for a name surrounded by spaces finds the last one too. */
const char mcl_device_extensions[] = DEVICE_EXTENSIONS(AS_STRING);
const char mcl_platform_extensions[] = PLATFORM_EXTENSIONS(AS_STRING) DEVICE_EXTENSIONS(AS_STRING);

const cl_name_version mcl_extension_versions[] = { DEVICE_EXTENSIONS(AS_VERSION) PLATFORM_EXTENSIONS(AS_VERSION) };
#define AS_COUNT(name, major, minor, patch) +1
const size_t mcl_device_extension_count = DEVICE_EXTENSIONS(AS_COUNT);
const size_t mcl_platform_extension_count = sizeof(mcl_extension_versions) / sizeof(*mcl_extension_versions);

/* The same as a string: CL_DEVICE_IL_VERSION. */
static const cl_name_version ils[] = {
	{ CL_MAKE_VERSION(1, 2, 0), "SPIR-V" },
	{ CL_MAKE_VERSION(1, 1, 0), "SPIR-V" },
	{ CL_MAKE_VERSION(1, 0, 0), "SPIR-V" },
};

#define V3 CL_MAKE_VERSION(3, 0, 0)
static const cl_name_version features[] = {
	{ V3, "__opencl_c_atomic_order_acq_rel" },
	{ V3, "__opencl_c_atomic_order_seq_cst" },
	{ V3, "__opencl_c_atomic_scope_device" },
	{ V3, "__opencl_c_atomic_scope_all_devices" },
	{ V3, "__opencl_c_fp64" },
	{ V3, "__opencl_c_generic_address_space" },
	{ V3, "__opencl_c_int64" },
	{ V3, "__opencl_c_program_scope_global_variables" },
	{ V3, "__opencl_c_subgroups" },
	{ V3, "__opencl_c_work_group_collective_functions" },
	{ V3, "__opencl_c_ext_fp32_global_atomic_add" },
	{ V3, "__opencl_c_ext_fp32_local_atomic_add" },
	{ V3, "__opencl_c_ext_fp32_global_atomic_min_max" },
	{ V3, "__opencl_c_ext_fp32_local_atomic_min_max" },
	{ V3, "__opencl_c_ext_fp64_global_atomic_add" },
	{ V3, "__opencl_c_ext_fp64_local_atomic_add" },
	{ V3, "__opencl_c_ext_fp64_global_atomic_min_max" },
	{ V3, "__opencl_c_ext_fp64_local_atomic_min_max" },
};

/* OpenCL C 2.0 is not among them: it would promise device queues, pipes and non-uniform work-groups. Its sources build. */
static const cl_name_version languages[] = {
	{ CL_MAKE_VERSION(3, 0, 0), "OpenCL C" },
	{ CL_MAKE_VERSION(1, 2, 0), "OpenCL C" },
	{ CL_MAKE_VERSION(1, 1, 0), "OpenCL C" },
	{ CL_MAKE_VERSION(1, 0, 0), "OpenCL C" },
};

/* Bytes of the processor's widest vector registers: the compiler compiles for this processor. */
static cl_uint vector_bytes(void)
{
	if (__builtin_cpu_supports("avx512f"))
		return 64;
	return __builtin_cpu_supports("avx") ? 32 : 16;
}

/* OpenCL has no vectors of more than 16 elements. */
static cl_uint vector_width(size_t element)
{
	cl_uint width = vector_bytes() / (cl_uint)element;

	return width > 16 ? 16 : width;
}

size_t mcl_device_preferred_multiple(void)
{
	return vector_width(sizeof(cl_float));
}

static cl_device_svm_capabilities svm_capabilities(const struct mcl_backend_caps *caps)
{
	/* Buffers are shared memory at one address on every mirror. */
	cl_device_svm_capabilities svm = CL_DEVICE_SVM_COARSE_GRAIN_BUFFER | CL_DEVICE_SVM_FINE_GRAIN_BUFFER;

	if (caps->system_svm)
		svm |= CL_DEVICE_SVM_FINE_GRAIN_SYSTEM;
	if (caps->svm_atomics)
		svm |= CL_DEVICE_SVM_ATOMICS;
	return svm;
}

/* Of any memory of the process; none unless the device has @any. */
static cl_device_unified_shared_memory_capabilities_intel usm_capabilities(const struct mcl_backend_caps *caps,
									   bool any)
{
	cl_device_unified_shared_memory_capabilities_intel usm = CL_UNIFIED_SHARED_MEMORY_ACCESS_INTEL |
								 CL_UNIFIED_SHARED_MEMORY_ATOMIC_ACCESS_INTEL |
								 CL_UNIFIED_SHARED_MEMORY_CONCURRENT_ACCESS_INTEL;

	if (caps->svm_atomics)
		usm |= CL_UNIFIED_SHARED_MEMORY_CONCURRENT_ATOMIC_ACCESS_INTEL;
	return any ? usm : 0;
}

static cl_device_atomic_capabilities atomic_capabilities(const struct mcl_backend_caps *caps)
{
	cl_device_atomic_capabilities atomics = CL_DEVICE_ATOMIC_ORDER_RELAXED | CL_DEVICE_ATOMIC_ORDER_ACQ_REL |
						CL_DEVICE_ATOMIC_ORDER_SEQ_CST | CL_DEVICE_ATOMIC_SCOPE_WORK_GROUP |
						CL_DEVICE_ATOMIC_SCOPE_DEVICE;

	if (caps->svm_atomics)
		atomics |= CL_DEVICE_ATOMIC_SCOPE_ALL_DEVICES;
	return atomics;
}

static const cl_device_fp_config fp_config = CL_FP_DENORM | CL_FP_INF_NAN | CL_FP_ROUND_TO_NEAREST |
					     CL_FP_ROUND_TO_ZERO | CL_FP_ROUND_TO_INF | CL_FP_FMA;
static const cl_device_fp_atomic_capabilities_ext fp_atomics =
	CL_DEVICE_GLOBAL_FP_ATOMIC_LOAD_STORE_EXT | CL_DEVICE_GLOBAL_FP_ATOMIC_ADD_EXT |
	CL_DEVICE_GLOBAL_FP_ATOMIC_MIN_MAX_EXT | CL_DEVICE_LOCAL_FP_ATOMIC_LOAD_STORE_EXT |
	CL_DEVICE_LOCAL_FP_ATOMIC_ADD_EXT | CL_DEVICE_LOCAL_FP_ATOMIC_MIN_MAX_EXT;

cl_int clGetDeviceInfo(cl_device_id device, cl_device_info param_name, size_t param_value_size, void *param_value,
		       size_t *param_value_size_ret)
{
	const struct mcl_backend_caps *caps;

	if (!mcl_object_valid(device, MCL_TYPE_DEVICE))
		return MCL_ERR(CL_INVALID_DEVICE, "%p is not a MirrorCL device", (void *)device);
	caps = mcl_device_caps();

	switch (param_name) {
	/* identity */
	case CL_DEVICE_TYPE:
		return MCL_INFO_VALUE(cl_device_type, mcl_device_type());
	case CL_DEVICE_VENDOR_ID:
		return MCL_INFO_VALUE(cl_uint, 0x4d434c); /* "MCL": above the range of PCI's identifiers */
	case CL_DEVICE_NAME:
		return MCL_INFO_STRING("MirrorCL software GPU");
	case CL_DEVICE_VENDOR:
		return MCL_INFO_STRING("MirrorCL");
	case CL_DRIVER_VERSION:
		return MCL_INFO_STRING(MCL_VERSION);
	case CL_DEVICE_PROFILE:
		return MCL_INFO_STRING("FULL_PROFILE");
	case CL_DEVICE_VERSION:
		return MCL_INFO_STRING("OpenCL 3.0 MirrorCL " MCL_VERSION);
	case CL_DEVICE_NUMERIC_VERSION:
		return MCL_INFO_VALUE(cl_version, CL_MAKE_VERSION(3, 0, 0));
	case CL_DEVICE_LATEST_CONFORMANCE_VERSION_PASSED:
		return MCL_INFO_STRING("v0000-01-01-00"); /* none was submitted */
	case CL_DEVICE_PLATFORM:
		return MCL_INFO_VALUE(cl_platform_id, &mcl_platform);
	case CL_DEVICE_AVAILABLE:
		return MCL_INFO_VALUE(cl_bool, caps->available);
	case CL_DEVICE_REFERENCE_COUNT:
		return MCL_INFO_VALUE(cl_uint, 1);
	case CL_DEVICE_PARENT_DEVICE:
		return MCL_INFO_VALUE(cl_device_id, NULL);

	/* language */
	case CL_DEVICE_COMPILER_AVAILABLE:
		return MCL_INFO_VALUE(cl_bool, CL_TRUE);
	case CL_DEVICE_LINKER_AVAILABLE:
		return MCL_INFO_VALUE(cl_bool, CL_TRUE);
	case CL_DEVICE_OPENCL_C_VERSION:
		return MCL_INFO_STRING("OpenCL C 1.2 MirrorCL"); /* see languages[] */
	case CL_DEVICE_OPENCL_C_NUMERIC_VERSION_KHR:
		return MCL_INFO_VALUE(cl_version, CL_MAKE_VERSION(1, 2, 0));
	case CL_DEVICE_OPENCL_C_ALL_VERSIONS:
		return MCL_INFO(languages, sizeof(languages));
	case CL_DEVICE_OPENCL_C_FEATURES:
		return MCL_INFO(features, sizeof(features));
	case CL_DEVICE_EXTENSIONS:
		return MCL_INFO_STRING(mcl_device_extensions);
	case CL_DEVICE_EXTENSIONS_WITH_VERSION:
		return MCL_INFO(mcl_extension_versions, mcl_device_extension_count * sizeof(cl_name_version));
	case CL_DEVICE_IL_VERSION:
		return MCL_INFO_STRING("SPIR-V_1.2 SPIR-V_1.1 SPIR-V_1.0");
	case CL_DEVICE_ILS_WITH_VERSION:
		return MCL_INFO(ils, sizeof(ils));
	case CL_DEVICE_BUILT_IN_KERNELS:
		return MCL_INFO_STRING("");
	case CL_DEVICE_BUILT_IN_KERNELS_WITH_VERSION:
		return MCL_INFO(NULL, 0);
	case CL_DEVICE_SINGLE_FP_CONFIG:
		return MCL_INFO_VALUE(cl_device_fp_config, fp_config | CL_FP_CORRECTLY_ROUNDED_DIVIDE_SQRT);
	case CL_DEVICE_DOUBLE_FP_CONFIG:
		return MCL_INFO_VALUE(cl_device_fp_config, fp_config);
	case CL_DEVICE_HALF_FP_CONFIG:
		return MCL_INFO_VALUE(cl_device_fp_config, 0);
	case CL_DEVICE_SINGLE_FP_ATOMIC_CAPABILITIES_EXT:
	case CL_DEVICE_DOUBLE_FP_ATOMIC_CAPABILITIES_EXT:
		return MCL_INFO_VALUE(cl_device_fp_atomic_capabilities_ext, fp_atomics);
	case CL_DEVICE_HALF_FP_ATOMIC_CAPABILITIES_EXT:
		return MCL_INFO_VALUE(cl_device_fp_atomic_capabilities_ext, 0);
	case CL_DEVICE_ENDIAN_LITTLE:
		return MCL_INFO_VALUE(cl_bool, CL_TRUE);
	case CL_DEVICE_ADDRESS_BITS:
		return MCL_INFO_VALUE(cl_uint, 64);
	case CL_DEVICE_PRINTF_BUFFER_SIZE:
		return MCL_INFO_VALUE(size_t, caps->printf_buffer_size);
	case CL_DEVICE_MAX_GLOBAL_VARIABLE_SIZE:
	case CL_DEVICE_GLOBAL_VARIABLE_PREFERRED_TOTAL_SIZE:
		return MCL_INFO_VALUE(size_t, caps->max_global_variable_size);
	case CL_DEVICE_GENERIC_ADDRESS_SPACE_SUPPORT:
	case CL_DEVICE_WORK_GROUP_COLLECTIVE_FUNCTIONS_SUPPORT:
		return MCL_INFO_VALUE(cl_bool, CL_TRUE);
	case CL_DEVICE_NON_UNIFORM_WORK_GROUP_SUPPORT:
		return MCL_INFO_VALUE(cl_bool, CL_FALSE);

	/* work */
	case CL_DEVICE_MAX_COMPUTE_UNITS:
		return MCL_INFO_VALUE(cl_uint, caps->compute_units);
	case CL_DEVICE_MAX_CLOCK_FREQUENCY:
		return MCL_INFO_VALUE(cl_uint, caps->clock_mhz);
	case CL_DEVICE_MAX_WORK_ITEM_DIMENSIONS:
		return MCL_INFO_VALUE(cl_uint, 3);
	case CL_DEVICE_MAX_WORK_ITEM_SIZES: {
		size_t sizes[3] = { caps->max_work_group_size, caps->max_work_group_size, caps->max_work_group_size };

		return MCL_INFO(sizes, sizeof(sizes));
	}
	case CL_DEVICE_MAX_WORK_GROUP_SIZE:
		return MCL_INFO_VALUE(size_t, caps->max_work_group_size);
	case CL_DEVICE_PREFERRED_WORK_GROUP_SIZE_MULTIPLE:
		return MCL_INFO_VALUE(size_t, mcl_device_preferred_multiple());
	case CL_DEVICE_MAX_NUM_SUB_GROUPS:
		/* A subgroup is one row (dimension 0) of a work-group. */
		return MCL_INFO_VALUE(cl_uint, (cl_uint)caps->max_work_group_size);
	case CL_DEVICE_SUB_GROUP_INDEPENDENT_FORWARD_PROGRESS:
		return MCL_INFO_VALUE(cl_bool, CL_FALSE);
	case CL_DEVICE_EXECUTION_CAPABILITIES:
		return MCL_INFO_VALUE(cl_device_exec_capabilities, CL_EXEC_KERNEL);
	case CL_DEVICE_QUEUE_ON_HOST_PROPERTIES:
		return MCL_INFO_VALUE(cl_command_queue_properties,
				      CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE | CL_QUEUE_PROFILING_ENABLE);
	case CL_DEVICE_PROFILING_TIMER_RESOLUTION:
		return MCL_INFO_VALUE(size_t, 1);
	case CL_DEVICE_PREFERRED_VECTOR_WIDTH_CHAR:
	case CL_DEVICE_NATIVE_VECTOR_WIDTH_CHAR:
		return MCL_INFO_VALUE(cl_uint, vector_width(sizeof(cl_char)));
	case CL_DEVICE_PREFERRED_VECTOR_WIDTH_SHORT:
	case CL_DEVICE_NATIVE_VECTOR_WIDTH_SHORT:
		return MCL_INFO_VALUE(cl_uint, vector_width(sizeof(cl_short)));
	case CL_DEVICE_PREFERRED_VECTOR_WIDTH_INT:
	case CL_DEVICE_NATIVE_VECTOR_WIDTH_INT:
		return MCL_INFO_VALUE(cl_uint, vector_width(sizeof(cl_int)));
	case CL_DEVICE_PREFERRED_VECTOR_WIDTH_LONG:
	case CL_DEVICE_NATIVE_VECTOR_WIDTH_LONG:
		return MCL_INFO_VALUE(cl_uint, vector_width(sizeof(cl_long)));
	case CL_DEVICE_PREFERRED_VECTOR_WIDTH_FLOAT:
	case CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT:
		return MCL_INFO_VALUE(cl_uint, vector_width(sizeof(cl_float)));
	case CL_DEVICE_PREFERRED_VECTOR_WIDTH_DOUBLE:
	case CL_DEVICE_NATIVE_VECTOR_WIDTH_DOUBLE:
		return MCL_INFO_VALUE(cl_uint, vector_width(sizeof(cl_double)));
	case CL_DEVICE_PREFERRED_VECTOR_WIDTH_HALF:
	case CL_DEVICE_NATIVE_VECTOR_WIDTH_HALF:
		return MCL_INFO_VALUE(cl_uint, 0); /* no cl_khr_fp16 */

	/* memory */
	case CL_DEVICE_SVM_CAPABILITIES:
		return MCL_INFO_VALUE(cl_device_svm_capabilities, svm_capabilities(caps));
	case CL_DEVICE_HOST_MEM_CAPABILITIES_INTEL:
	case CL_DEVICE_DEVICE_MEM_CAPABILITIES_INTEL:
	case CL_DEVICE_SINGLE_DEVICE_SHARED_MEM_CAPABILITIES_INTEL:
	case CL_DEVICE_CROSS_DEVICE_SHARED_MEM_CAPABILITIES_INTEL:
		return MCL_INFO_VALUE(cl_device_unified_shared_memory_capabilities_intel, usm_capabilities(caps, true));
	case CL_DEVICE_SHARED_SYSTEM_MEM_CAPABILITIES_INTEL:
		return MCL_INFO_VALUE(cl_device_unified_shared_memory_capabilities_intel,
				      usm_capabilities(caps, caps->system_svm));
	case CL_DEVICE_ATOMIC_MEMORY_CAPABILITIES:
		return MCL_INFO_VALUE(cl_device_atomic_capabilities, atomic_capabilities(caps));
	case CL_DEVICE_ATOMIC_FENCE_CAPABILITIES:
		return MCL_INFO_VALUE(cl_device_atomic_capabilities,
				      atomic_capabilities(caps) | CL_DEVICE_ATOMIC_SCOPE_WORK_ITEM);
	case CL_DEVICE_PREFERRED_PLATFORM_ATOMIC_ALIGNMENT:
	case CL_DEVICE_PREFERRED_GLOBAL_ATOMIC_ALIGNMENT:
	case CL_DEVICE_PREFERRED_LOCAL_ATOMIC_ALIGNMENT:
		return MCL_INFO_VALUE(cl_uint, caps->cacheline_size);
	case CL_DEVICE_GLOBAL_MEM_SIZE:
		return MCL_INFO_VALUE(cl_ulong, caps->global_mem_size);
	case CL_DEVICE_MAX_MEM_ALLOC_SIZE:
		return MCL_INFO_VALUE(cl_ulong, caps->max_alloc_size);
	case CL_DEVICE_MAX_CONSTANT_BUFFER_SIZE:
		/*
		 * Constant memory is global memory, so larger buffers work, too. But some programs fill as much as is promised: a
		 * thousand times the least that OpenCL allows.
		 */
		return MCL_INFO_VALUE(cl_ulong, caps->max_alloc_size < MAX_CONSTANT_BUFFER ? caps->max_alloc_size :
											     MAX_CONSTANT_BUFFER);
	case CL_DEVICE_MAX_CONSTANT_ARGS:
		return MCL_INFO_VALUE(cl_uint, (cl_uint)(caps->max_param_size / sizeof(void *)));
	case CL_DEVICE_MAX_PARAMETER_SIZE:
		return MCL_INFO_VALUE(size_t, caps->max_param_size);
	case CL_DEVICE_LOCAL_MEM_TYPE:
		return MCL_INFO_VALUE(cl_device_local_mem_type, CL_GLOBAL);
	case CL_DEVICE_LOCAL_MEM_SIZE:
		return MCL_INFO_VALUE(cl_ulong, caps->local_mem_size);
	case CL_DEVICE_GLOBAL_MEM_CACHE_TYPE:
		return MCL_INFO_VALUE(cl_device_mem_cache_type, CL_READ_WRITE_CACHE);
	case CL_DEVICE_GLOBAL_MEM_CACHE_SIZE:
		return MCL_INFO_VALUE(cl_ulong, caps->cache_size);
	case CL_DEVICE_GLOBAL_MEM_CACHELINE_SIZE:
		return MCL_INFO_VALUE(cl_uint, caps->cacheline_size);
	case CL_DEVICE_MEM_BASE_ADDR_ALIGN:
		return MCL_INFO_VALUE(cl_uint, 1024); /* bits: a long16 */
	case CL_DEVICE_MIN_DATA_TYPE_ALIGN_SIZE:
		return MCL_INFO_VALUE(cl_uint, 128);
	case CL_DEVICE_HOST_UNIFIED_MEMORY:
		return MCL_INFO_VALUE(cl_bool, caps->vram_size == 0);
	case CL_DEVICE_ERROR_CORRECTION_SUPPORT:
		return MCL_INFO_VALUE(cl_bool, CL_FALSE); /* not known to be there */

	/* what the device has not */
	case CL_DEVICE_IMAGE_SUPPORT:
	case CL_DEVICE_PIPE_SUPPORT:
		return MCL_INFO_VALUE(cl_bool, CL_FALSE);
	case CL_DEVICE_MAX_READ_IMAGE_ARGS:
	case CL_DEVICE_MAX_WRITE_IMAGE_ARGS:
	case CL_DEVICE_MAX_READ_WRITE_IMAGE_ARGS:
	case CL_DEVICE_MAX_SAMPLERS:
	case CL_DEVICE_IMAGE_PITCH_ALIGNMENT:
	case CL_DEVICE_IMAGE_BASE_ADDRESS_ALIGNMENT:
	case CL_DEVICE_MAX_PIPE_ARGS:
	case CL_DEVICE_PIPE_MAX_ACTIVE_RESERVATIONS:
	case CL_DEVICE_PIPE_MAX_PACKET_SIZE:
	case CL_DEVICE_QUEUE_ON_DEVICE_PREFERRED_SIZE:
	case CL_DEVICE_QUEUE_ON_DEVICE_MAX_SIZE:
	case CL_DEVICE_MAX_ON_DEVICE_QUEUES:
	case CL_DEVICE_MAX_ON_DEVICE_EVENTS:
	case CL_DEVICE_PARTITION_MAX_SUB_DEVICES:
		return MCL_INFO_VALUE(cl_uint, 0);
	case CL_DEVICE_IMAGE2D_MAX_WIDTH:
	case CL_DEVICE_IMAGE2D_MAX_HEIGHT:
	case CL_DEVICE_IMAGE3D_MAX_WIDTH:
	case CL_DEVICE_IMAGE3D_MAX_HEIGHT:
	case CL_DEVICE_IMAGE3D_MAX_DEPTH:
	case CL_DEVICE_IMAGE_MAX_BUFFER_SIZE:
	case CL_DEVICE_IMAGE_MAX_ARRAY_SIZE:
		return MCL_INFO_VALUE(size_t, 0);
	case CL_DEVICE_QUEUE_ON_DEVICE_PROPERTIES:
		return MCL_INFO_VALUE(cl_command_queue_properties, 0);
	case CL_DEVICE_DEVICE_ENQUEUE_CAPABILITIES:
		return MCL_INFO_VALUE(cl_device_device_enqueue_capabilities, 0);
	case CL_DEVICE_PARTITION_PROPERTIES:
	case CL_DEVICE_PARTITION_TYPE:
		return MCL_INFO_VALUE(cl_device_partition_property, 0);
	case CL_DEVICE_PARTITION_AFFINITY_DOMAIN:
		return MCL_INFO_VALUE(cl_device_affinity_domain, 0);
	case CL_DEVICE_PREFERRED_INTEROP_USER_SYNC:
		return MCL_INFO_VALUE(cl_bool, CL_TRUE); /* no other API shares its memory */
	}
	return MCL_ERR(CL_INVALID_VALUE, "unknown device query 0x%x", param_name);
}
