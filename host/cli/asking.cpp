// SPDX-License-Identifier: MIT
#include "cli/asking.h"

#include "cli/exit_codes.h"
#include "cli/style.h"

#include <iostream>

namespace lemonade::cli {

namespace {

/// What an answer says that is no success: {"error": "..."}, or lines.
std::string messageOf(const Reply& reply) {
  if (const auto document = parseDocument(reply.body); document && hasIn(document.value(), "error")) {
    std::string text = textIn(document.value(), "error");
    for (const auto& candidate : textsIn(document.value(), "candidates")) text += "\n  " + candidate;
    return text;
  }
  std::string text = reply.body;
  while (text.ends_with('\n')) text.pop_back();
  return text.empty() ? "it answered " + std::to_string(reply.status) : text;
}

}  // namespace

int fail(int code, const std::string& why) {
  std::cerr << "lemonade: " << why << "\n";
  return code;
}

int refused(const Reply& reply) {
  const char* const mend = reply.status == 401 ? "; give --token-file or LEMONADE_ADMIN_TOKEN_FILE" : "";
  return fail(kRefused, messageOf(reply) + mend);
}

int withBalancer(const Options& options, const std::function<int(Client&)>& task) {
  auto place = findPlace(options);
  if (!place) return fail(kWrongUse, place.error().message);
  auto token = readToken(options);
  if (!token) return fail(kWrongUse, token.error().message);
  Client client(std::move(place).value(), std::move(token).value());
  return task(client);
}

int asked(Client& client, const std::string& method, const std::string& path,
          const std::function<int(const Reply&)>& good) {
  const auto reply = client.ask(method, path);
  if (!reply) return fail(kUnreachable, reply.error().message);
  return reply.value().ok() ? good(reply.value()) : refused(reply.value());
}

int askedFor(Client& client, const Options& options, const std::string& path,
             const std::function<int(const Document&)>& shown) {
  return asked(client, "GET", path, [&](const Reply& reply) {
    const auto document = parseDocument(reply.body);
    if (!document) return fail(kUnreachable, document.error().message);
    if (options.json) std::cout << reply.body << std::flush;
    return shown(document.value());
  });
}

}  // namespace lemonade::cli
