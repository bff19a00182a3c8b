# SPDX-License-Identifier: MIT
# Compare the driver's dynamic symbols with the ones that it may have. -DNM= -DDRIVER=
cmake_minimum_required(VERSION 3.25)
set(required clGetExtensionFunctionAddress clGetPlatformInfo clIcdGetPlatformIDsKHR)
set(allowed ${required} clIcdGetFunctionAddressForPlatformKHR clIcdSetPlatformDispatchDataKHR)

execute_process(COMMAND ${NM} -D --defined-only --format=posix ${DRIVER}
	OUTPUT_VARIABLE out COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "[^\n]+" lines "${out}")
set(found)
foreach(line ${lines})
	string(REGEX MATCH "^[^ @]+" name "${line}")
	list(APPEND found ${name})
	if(NOT name IN_LIST allowed)
		message(SEND_ERROR "${name} is exported")
	endif()
endforeach()
foreach(name ${required})
	if(NOT name IN_LIST found)
		message(SEND_ERROR "${name} is not exported")
	endif()
endforeach()
