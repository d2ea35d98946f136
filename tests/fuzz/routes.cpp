// SPDX-License-Identifier: MIT
//
// Requests to the admin listener, one a line as "METHOD /path?query": which handler answers, and that every answer is
// one.
#include "target.h"

#include "admin/routes.h"

#include <Poco/JSON/Parser.h>

namespace admin = lemonade::admin;
using lemonade::fuzz::cut;
using lemonade::fuzz::require;

namespace {

/// The paths of the real one, each answering with its own name.
const admin::Routes& routes() {
  static const admin::Routes instance = [] {
    admin::Routes made;
    const auto add = [&made](const char* method, const char* path) {
      made.add(method, path, admin::Prompt{[path](const admin::Request&) { return admin::Response{.body = path}; }});
    };
    for (const char* path : {"/healthz", "/readyz", "/metrics", "/metrics/*", "/api/v1/status", "/a/*", "/a/b/*"})
      add("GET", path);
    add("POST", "/api/v1/reload");
    return made;
  }();
  return instance;
}

void ask(const admin::Request& request) {
  const auto found = routes().find(request);
  const auto* const refused = std::get_if<admin::Response>(&found);
  const auto response =
      refused != nullptr ? *refused : std::get<admin::Prompt>(*std::get<const admin::Route*>(found)).handler(request);
  require(response.status == 200 || response.status == 404 || response.status == 405, "the status is one of three");
  if (response.status != 200) {
    Poco::JSON::Parser().parse(response.body);  // throws, and so ends the process, where it is no JSON
  } else if (response.body.ends_with("/*")) {
    const std::string_view prefix(response.body.data(), response.body.size() - 1);
    require(request.path.starts_with(prefix) && request.path.size() > prefix.size(),
            "a prefix answers what is below it");
  } else if (request.path != "/") {
    require(request.path == response.body, "a path answers for itself alone");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto rest = lemonade::fuzz::textOf(data, size);
  while (!rest.empty()) {
    auto line = cut(rest, "\n");
    admin::Request request;
    request.method = cut(line, " ");
    request.path = cut(line, "?");
    request.query = line;
    ask(request);
  }
  return 0;
}
