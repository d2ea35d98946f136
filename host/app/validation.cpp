// SPDX-License-Identifier: MIT
#include "app/validation.h"

#include "app/exit_codes.h"
#include "rehearsal/child.h"

#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <utility>

namespace lemonade::app {

namespace {

using namespace std::chrono_literals;

constexpr Duration kValidationTime = 50s;  // less than the admin server has for its answers
constexpr Duration kValidationTurn = 100ms;
constexpr const char* kStandardInput = "/proc/self/fd/0";

/// False where it did not come to its end.
bool awaitValidation(const trial::Child& child, const std::function<bool()>& given_up) {
  const auto deadline = nowNs() + static_cast<std::uint64_t>(kValidationTime.count());
  while (!child.wait(kValidationTurn))
    if (given_up() || nowNs() > deadline) return false;
  return true;
}

/// What the child printed last is its finding; before it, plugins may have printed.
std::string lastLine(std::string text) {
  while (text.ends_with('\n')) text.pop_back();
  return text.substr(text.rfind('\n') + 1) + "\n";
}

Result<admin::Response> validateIn(const std::vector<std::string>& arguments, const std::string& text,
                                   const std::function<bool()>& given_up) {
  auto input = trial::inMemory("lemonade-configuration", text.data(), text.size());
  if (!input) return std::move(input).error();
  auto output = trial::emptyInMemory("lemonade-findings");
  if (!output) return std::move(output).error();
  auto errors = trial::makePipe();
  if (!errors) return std::move(errors).error();
  auto child = trial::Child::spawn(arguments, {input.value().get(), output.value().get(), errors.value().write.get()});
  if (!child) return std::move(child).error();
  const bool ended = awaitValidation(child.value(), given_up);
  const int status = child.value().end();
  if (!ended) return Error{given_up() ? "the balancer is stopping" : "a plugin or a file system takes too long"};
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  if (code != kSuccess && code != kConfigurationError)
    return Error{"the process that validated " + trial::endOf(status)};
  return admin::Response{.status = code == kSuccess ? 200 : 422, .body = lastLine(trial::contentOf(output.value()))};
}

}  // namespace

admin::Response validateApart(const std::string& text, const ValidationPlace& place,
                              const std::function<bool()>& given_up) {
  if (text.empty())
    return admin::errorResponse(400, "the body is the configuration to validate, in TOML; this one is empty");
  std::vector<std::string> arguments{"load-balancer", "--validate",   "--json",
                                     "--config",      kStandardInput, "--called-as",
                                     place.called,    "--asked-by",   std::to_string(::getpid())};
  for (const auto& directory : place.plugin_dirs) {
    arguments.emplace_back("--plugin-dir");
    arguments.push_back(directory);
  }
  auto response = validateIn(arguments, text, given_up);
  return response ? std::move(response).value()
                  : admin::errorResponse(503, "cannot validate it just now: " + response.error().message);
}

}  // namespace lemonade::app
