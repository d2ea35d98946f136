// SPDX-License-Identifier: MIT
//
// What the statuses of c-ares mean to a lookup and to an operator. Pure functions.
#pragma once

#include "balance/resolution.h"

#include <string>

namespace lemonade {

/// True for an answer that says no, as opposed to none.
bool saysNo(int status);

/// Why there is no answer or a no: words that follow "does not resolve: ". record is what was looked for, such as
/// "address".
std::string wordsOf(int status, const std::string& servers, const char* record);

/// A resolution that failed; why are words that follow "does not resolve: ".
Resolution failure(Resolution::Outcome outcome, const std::string& name, const std::string& why);

}  // namespace lemonade
