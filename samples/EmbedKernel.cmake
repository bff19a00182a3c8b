# SPDX-License-Identifier: MIT
# mcl_embed_kernel(<target> <file>.cl): makes "<file>.cl.h" with `static const char <file>_cl[]`, the kernel's source as
# a string, for <target> to include. ('-' in the name becomes '_'.) Run with -P, this file is the converter itself.
# mcl_embed_spirv(<target> <file>.cl): the same with what clang and the translator that POCL brings make of it:
# "<file>.spv.h" with <file>_spv[], the module and a zero behind it. MCL_SPIRV_TOOLS is false where they are not found.
if(CMAKE_SCRIPT_MODE_FILE)
	file(READ ${INPUT} hex HEX)
	string(REGEX REPLACE "(................................)" "\\1\n\t" hex "${hex}")
	string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," hex "${hex}")
	file(WRITE ${OUTPUT} "static const char ${SYMBOL}[] = {\n\t${hex}0\n};\n")
	return()
endif()

set(MCL_EMBED_SCRIPT ${CMAKE_CURRENT_LIST_FILE} CACHE INTERNAL "")

function(mcl_embed_file target file)
	get_filename_component(name ${file} NAME)
	string(MAKE_C_IDENTIFIER ${name} symbol)
	set(header ${CMAKE_CURRENT_BINARY_DIR}/${name}.h)
	add_custom_command(OUTPUT ${header}
		COMMAND ${CMAKE_COMMAND} -DINPUT=${file} -DOUTPUT=${header} -DSYMBOL=${symbol}
			-P ${MCL_EMBED_SCRIPT}
		DEPENDS ${file} ${MCL_EMBED_SCRIPT}
		COMMENT "Embedding ${name}" VERBATIM)
	target_sources(${target} PRIVATE ${header})
	target_include_directories(${target} PRIVATE ${CMAKE_CURRENT_BINARY_DIR})
endfunction()

function(mcl_embed_kernel target file)
	mcl_embed_file(${target} ${CMAKE_CURRENT_SOURCE_DIR}/${file})
endfunction()

# Both of the same LLVM; POCL depends on them.
foreach(version 18 19 20 21)
	find_program(MCL_SPIRV_CLANG_${version} clang-${version})
	find_program(MCL_SPIRV_TRANSLATOR_${version} llvm-spirv-${version})
	if(MCL_SPIRV_CLANG_${version} AND MCL_SPIRV_TRANSLATOR_${version} AND NOT MCL_SPIRV_TOOLS)
		set(MCL_SPIRV_TOOLS ${version})
	endif()
endforeach()

function(mcl_embed_spirv target file)
	get_filename_component(name ${file} NAME_WE)
	set(base ${CMAKE_CURRENT_BINARY_DIR}/${name})
	add_custom_command(OUTPUT ${base}.spv
		COMMAND ${MCL_SPIRV_CLANG_${MCL_SPIRV_TOOLS}} -target spir64 -x cl -cl-std=CL3.0 -Xclang -finclude-default-header
			-Xclang -cl-ext=-cl_khr_fp64,-__opencl_c_fp64 -O1 -emit-llvm -c ${CMAKE_CURRENT_SOURCE_DIR}/${file} -o ${base}.bc
		COMMAND ${MCL_SPIRV_TRANSLATOR_${MCL_SPIRV_TOOLS}} --spirv-max-version=1.2 ${base}.bc -o ${base}.spv
		DEPENDS ${file}
		COMMENT "Translating ${name} to SPIR-V" VERBATIM)
	mcl_embed_file(${target} ${base}.spv)
endfunction()
