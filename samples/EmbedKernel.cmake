# SPDX-License-Identifier: MIT
# mcl_embed_kernel(<target> <file>.cl): makes "<file>.cl.h" with `static const char <file>_cl[]`, the kernel's source as
# a string, for <target> to include. ('-' in the name becomes '_'.) Run with -P, this file is the converter itself.
if(CMAKE_SCRIPT_MODE_FILE)
	file(READ ${INPUT} hex HEX)
	string(REGEX REPLACE "(................................)" "\\1\n\t" hex "${hex}")
	string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," hex "${hex}")
	file(WRITE ${OUTPUT} "static const char ${SYMBOL}[] = {\n\t${hex}0\n};\n")
	return()
endif()

set(MCL_EMBED_SCRIPT ${CMAKE_CURRENT_LIST_FILE} CACHE INTERNAL "")

function(mcl_embed_kernel target file)
	get_filename_component(name ${file} NAME)
	string(MAKE_C_IDENTIFIER ${name} symbol)
	set(header ${CMAKE_CURRENT_BINARY_DIR}/${name}.h)
	add_custom_command(OUTPUT ${header}
		COMMAND ${CMAKE_COMMAND} -DINPUT=${CMAKE_CURRENT_SOURCE_DIR}/${file} -DOUTPUT=${header} -DSYMBOL=${symbol}
			-P ${MCL_EMBED_SCRIPT}
		DEPENDS ${file} ${MCL_EMBED_SCRIPT}
		COMMENT "Embedding ${name}" VERBATIM)
	target_sources(${target} PRIVATE ${header})
	target_include_directories(${target} PRIVATE ${CMAKE_CURRENT_BINARY_DIR})
endfunction()
