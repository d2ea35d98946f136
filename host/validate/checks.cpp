// SPDX-License-Identifier: MIT
#include "validate/check.h"

namespace lemonade::validate {

const char* nameOf(Grade status) {
  switch (status) {
    case Grade::kPass:
      return "pass";
    case Grade::kWarn:
      return "warn";
    case Grade::kSkip:
      return "skip";
    case Grade::kFail:
      return "fail";
    case Grade::kCrash:
      return "crash";
    case Grade::kHang:
      return "hang";
  }
  return "";
}

const Check kExceptions{"exceptions.none", "lets no exception out",
                        "catch everything where the host calls in: an exception ends the balancer (the SDK catches for "
                        "you, except in pick and onEvent, which must not throw)",
                        nullptr};

namespace {

std::vector<Check> joined(std::initializer_list<std::span<const Check>> families) {
  std::vector<Check> all;
  for (const auto family : families) all.insert(all.end(), family.begin(), family.end());
  return all;
}

}  // namespace

std::vector<Check> staticChecks() { return joined({fileChecks(), elfChecks(), tagChecks()}); }

std::vector<Check> dynamicChecks() {
  return joined({loadChecks(), descriptorChecks(), creationChecks(), processChecks(), lifecycleChecks(),
                 strategyChecks(), healthChecks(), sinkChecks(), callChecks(), lateChecks(), strategyUseChecks(),
                 strategyCostChecks(), optionChecks(), stateChecks(), orderChecks(), versionChecks()});
}

}  // namespace lemonade::validate
