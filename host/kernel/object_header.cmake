# SPDX-License-Identifier: MIT
#
# cmake -DOBJECT=... -DHEADER=... -P: the bytes of the object as an array.
file(READ ${OBJECT} hex HEX)
string(LENGTH "${hex}" digits)
math(EXPR size "${digits} / 2")
string(REGEX REPLACE "(..)" "0x\\1," bytes "${hex}")
file(WRITE ${HEADER} "#pragma once
#include <cstddef>
inline constexpr std::size_t kExchangesObjectSize = ${size};
alignas(8) inline constexpr unsigned char kExchangesObject[] = {${bytes}};
")
