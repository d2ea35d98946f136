// SPDX-License-Identifier: MIT
//
// Which host the checks stand in for. What that of ABI 1.0 hands out is smaller than what this one does; what a later
// one hands out is larger, which is said where it is made. Set before anything is made, in the process of one check.
#pragma once

#include <lemonade/metrics_sink.h>
#include <lemonade/strategy.h>

#include <cstddef>

namespace lemonade::validate {

/// Whether the host is of ABI 1.0.
inline bool host_is_1_0 = false;

/// The size in ABI 1.0 of what a host hands out; tests/abi compares it with the frozen headers.
template <class T>
inline constexpr std::size_t kSizeIn1_0 = sizeof(T);
template <>
inline constexpr std::size_t kSizeIn1_0<lemonade_backend_t> = LEMONADE_SIZE_TO(lemonade_backend_t, stats);
template <>
inline constexpr std::size_t kSizeIn1_0<lemonade_view_t> = LEMONADE_SIZE_TO(lemonade_view_t, serial);
template <>
inline constexpr std::size_t kSizeIn1_0<lemonade_connection_t> = LEMONADE_SIZE_TO(lemonade_connection_t, server_name);
template <>
inline constexpr std::size_t kSizeIn1_0<lemonade_series_t> = LEMONADE_SIZE_TO(lemonade_series_t, count);

/// The size that the host of the check gives it.
template <class T>
std::size_t sizeHere() noexcept {
  return host_is_1_0 ? kSizeIn1_0<T> : sizeof(T);
}

}  // namespace lemonade::validate
