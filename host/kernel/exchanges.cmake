# SPDX-License-Identifier: MIT
#
# The program that times exchanges in the kernel (exchanges.bpf.c), as an array in a header. Without clang or libbpf, or
# without forwarding by the kernel at all, the balancer is built without it, and says so at a start that wants it.
set(LEMONADE_EXCHANGE_TIMES AUTO CACHE STRING
    "Time exchanges where the kernel forwards: ON, OFF, or AUTO: where clang and libbpf are there")
set(LEMONADE_TIMES_EXCHANGES OFF CACHE INTERNAL "")
if(LEMONADE_KERNEL_FORWARDING AND NOT LEMONADE_EXCHANGE_TIMES STREQUAL "OFF")
  pkg_check_modules(libbpf IMPORTED_TARGET libbpf>=1.0)
  find_program(LEMONADE_BPF_CLANG NAMES clang clang-19 clang-18 clang-17 clang-16 clang-15 clang-14)
  if(libbpf_FOUND AND LEMONADE_BPF_CLANG)
    set(LEMONADE_TIMES_EXCHANGES ON CACHE INTERNAL "")
  elseif(LEMONADE_EXCHANGE_TIMES STREQUAL "ON")
    message(FATAL_ERROR "LEMONADE_EXCHANGE_TIMES=ON takes clang and libbpf 1.0 (Debian: clang libbpf-dev)")
  else()
    message(STATUS "No clang or no libbpf 1.0: exchanges that the kernel forwards cannot be timed")
  endif()
endif()

function(lemonade_embed_exchanges)
  if(NOT LEMONADE_TIMES_EXCHANGES)
    return()
  endif()
  set(source ${CMAKE_CURRENT_SOURCE_DIR}/kernel/exchanges.bpf.c)
  set(script ${CMAKE_CURRENT_SOURCE_DIR}/kernel/object_header.cmake)
  set(object ${CMAKE_CURRENT_BINARY_DIR}/exchanges.bpf.o)
  set(header ${CMAKE_CURRENT_BINARY_DIR}/generated/kernel/exchanges_object.h)
  # CMAKE_LIBRARY_ARCHITECTURE: where Debian has asm/types.h, which a compiler for bpf does not look for. The types that
  # the kernel fits the program to itself by come with -g.
  set(compile ${LEMONADE_BPF_CLANG} -O2 -g -target bpf -mcpu=v3 -Wall -Wextra -I${CMAKE_CURRENT_SOURCE_DIR}
      -I/usr/include/${CMAKE_LIBRARY_ARCHITECTURE} -fdebug-prefix-map=${PROJECT_SOURCE_DIR}=. -fdebug-compilation-dir=.
      -MD -MF ${object}.d -c ${source} -o ${object})
  set(embed ${CMAKE_COMMAND} -DOBJECT=${object} -DHEADER=${header} -P ${script})
  add_custom_command(OUTPUT ${object} COMMAND ${compile} DEPFILE ${object}.d DEPENDS ${source} VERBATIM)
  add_custom_command(OUTPUT ${header} COMMAND ${embed} DEPENDS ${object} ${script} VERBATIM)
  # Who reads the sources without a build, as clang-tidy does, finds the header, too.
  if(NOT EXISTS ${header})
    execute_process(COMMAND ${compile} COMMAND_ERROR_IS_FATAL ANY)
    execute_process(COMMAND ${embed} COMMAND_ERROR_IS_FATAL ANY)
  endif()
  target_sources(lemonade_kernel PRIVATE ${header})
  target_include_directories(lemonade_kernel PRIVATE ${CMAKE_CURRENT_BINARY_DIR}/generated)
  target_link_libraries(lemonade_kernel PRIVATE PkgConfig::libbpf)
endfunction()
