// SPDX-License-Identifier: MIT
//
// Matching and the answers that no handler gives.
#include "admin/routes.h"

#include <Poco/JSON/Array.h>
#include <Poco/JSON/Object.h>

#include <sstream>

#include "base/log.h"
#include "base/log_line.h"

namespace lemonade::admin {

namespace {

std::string text(const Poco::JSON::Object& object) {
  std::ostringstream out;
  object.stringify(out);
  out << '\n';
  return out.str();
}

/// "GET, HEAD, POST", as the Allow header wants it.
template <class Methods>
std::string allowed(const Methods& methods) {
  std::string list;
  for (const auto& [method, route] : methods) {
    list += (list.empty() ? "" : ", ") + method;
    if (method == "GET") list += ", HEAD";
  }
  return list;
}

}  // namespace

Response errorResponse(int status, const std::string& message) {
  Poco::JSON::Object object;
  object.set("error", log::validUtf8(message));  // which may repeat what a client sent
  return {.status = status, .body = text(object)};
}

void Routes::add(std::string method, std::string path, Route route) {
  paths_[std::move(path)][std::move(method)] = std::move(route);
}

std::variant<const Route*, Response> Routes::find(const Request& request) const {
  const std::string method = request.method == "HEAD" ? "GET" : request.method;
  const auto* const methods = methodsOf(request.path);
  // A browser gets a page where there is one, everybody else a list.
  if (request.path == "/" && method == "GET" &&
      (methods == nullptr || request.accept.find("text/html") == std::string::npos))
    return index();
  if (methods == nullptr) {
    return errorResponse(404, "there is no " + request.path + " here; GET / lists what there is");
  }
  const auto found = methods->find(method);
  if (found != methods->end()) return &found->second;
  auto response = errorResponse(405, request.path + " does not answer " + request.method);
  response.headers.emplace_back("Allow", allowed(*methods));
  return response;
}

const Routes::Methods* Routes::methodsOf(const std::string& path) const {
  if (const auto exact = paths_.find(path); exact != paths_.end()) return &exact->second;
  for (auto end = path.rfind('/'); end != std::string::npos && path.size() > end + 1;
       end = end == 0 ? std::string::npos : path.rfind('/', end - 1))
    if (const auto found = paths_.find(path.substr(0, end) + "/*"); found != paths_.end()) return &found->second;
  return nullptr;
}

Response Routes::index() const {
  Poco::JSON::Array endpoints;
  for (const auto& [path, methods] : paths_) {
    Poco::JSON::Object endpoint(Poco::JSON_PRESERVE_KEY_ORDER);
    endpoint.set("path", path);
    endpoint.set("methods", allowed(methods));
    endpoints.add(endpoint);
  }
  Poco::JSON::Object object;
  object.set("endpoints", endpoints);
  return {.body = text(object)};
}

Response answerOf(const Handler& handler, const Request& request) try {
  return handler(request);
} catch (const std::exception& e) {
  log::error("admin", "a request failed", {{"path", request.path}, {"reason", e.what()}});
  return errorResponse(500, "the request failed; the log says why");
}

}  // namespace lemonade::admin
