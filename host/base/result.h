// SPDX-License-Identifier: MIT
//
// The outcome of a control-plane operation that can fail: a value, or an error that only gains context on its way up.
#pragma once

#include <string>
#include <utility>
#include <variant>

namespace lemonade {

/// Why something failed: one sentence that names the thing concerned and, where there is one, the mend.
struct Error {
  std::string message;

  /// The same error, seen from a caller that knows more.
  Error in(const std::string& context) && { return {context + ": " + std::move(message)}; }
};

/// A T or an Error. Ask ok() before value() or error().
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::move(value)) {}
  Result(Error error) : state_(std::move(error)) {}

  bool ok() const noexcept { return std::holds_alternative<T>(state_); }
  explicit operator bool() const noexcept { return ok(); }
  T& value() & { return std::get<T>(state_); }
  const T& value() const& { return std::get<T>(state_); }
  T&& value() && { return std::get<T>(std::move(state_)); }
  const Error& error() const& { return std::get<Error>(state_); }
  Error&& error() && { return std::get<Error>(std::move(state_)); }

 private:
  std::variant<T, Error> state_;
};

/// Success without a value, or an Error.
using Status = Result<std::monostate>;
inline Status success() { return std::monostate{}; }

}  // namespace lemonade
