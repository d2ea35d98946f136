// SPDX-License-Identifier: MIT
//
// A build without the program that times exchanges in the kernel: without forwarding by the kernel at all, or without
// clang or libbpf.
#include "kernel/exchange_times.h"

namespace lemonade::kernel {

Status ExchangeTimes::checkBuild() {
  return Error{
      "this build cannot time exchanges in the kernel: it was made without clang or libbpf; write exchanges = \"off\", "
      "or take a build with LEMONADE_EXCHANGE_TIMES=ON, as the packages are"};
}

Result<std::unique_ptr<ExchangeTimes>> ExchangeTimes::open(std::uint16_t) { return checkBuild().error(); }

}  // namespace lemonade::kernel
