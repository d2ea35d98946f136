// SPDX-License-Identifier: MIT
#include "cli/ask.h"

#include "cli/asking.h"
#include "cli/exit_codes.h"
#include "cli/show.h"
#include "cli/show_picks.h"
#include "cli/style.h"

#include <Poco/JSON/Object.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <sstream>
#include <thread>
#include <utility>
#include <vector>

namespace lemonade::cli {

namespace {

using namespace std::chrono_literals;

constexpr auto kAskAgain = 1s;
constexpr auto kLookAgain = 100ms;

void print(const Options& options, const std::string& text) {
  if (!options.json) std::cout << text << std::flush;
}

/// Whether a backend is called so: by its id, its name or its address.
bool isCalled(const Document& backend, const std::string& called) {
  for (const char* name : {"id", "name", "address"})
    if (textIn(backend, name) == called) return true;
  return false;
}

/// The pool and the backend that "POOL/BACKEND" or "BACKEND" means.
Result<std::pair<std::string, std::string>> meantBy(const std::string& text, const Document& status) {
  const auto slash = text.find('/');
  if (slash != std::string::npos)
    for (const auto& pool : listIn(status, "pools"))
      if (textIn(pool, "name") == text.substr(0, slash))
        return std::pair(text.substr(0, slash), text.substr(slash + 1));
  std::vector<std::string> pools, known;
  for (const auto& backend : listIn(status, "backends")) {
    known.push_back(backendNameOf(backend));
    if (!isCalled(backend, text)) continue;
    if (std::ranges::find(pools, textIn(backend, "pool")) == pools.end()) pools.push_back(textIn(backend, "pool"));
  }
  if (pools.size() == 1) return std::pair(pools.front(), text);
  std::string choices;
  if (pools.empty())
    for (const auto& name : known) choices += "\n  " + name;
  else
    for (const auto& pool : pools) choices += "\n  " + pool + "/" + text;
  return Error{pools.empty() ? "there is no backend " + text + "; there are:" + choices
                             : "several pools have a backend " + text + "; say which:" + choices};
}

std::string targetOf(const std::pair<std::string, std::string>& backend, const Control& control) {
  std::string query;
  const auto add = [&query](const char* name, const std::string& value) {
    query += (query.empty() ? "?" : "&") + std::string(name) + "=" + encoded(value);
  };
  if (control.value) add("value", *control.value);
  if (control.lasting) add("for", *control.lasting);
  if (control.persist) add("persist", "true");
  return "/api/v1/pools/" + encoded(backend.first) + "/backends/" + encoded(backend.second) + "/" + control.action +
         query;
}

/// Prints events; the number to ask behind next time.
std::string printEvents(const Document& page, const Options& options, bool colours) {
  if (const double lost = numberIn(page, "lost"); lost > 0)
    std::cerr << "lemonade: " << countText(lost) << " events in between are gone, there were too many\n";
  for (const auto& event : listIn(page, "events")) {
    if (options.json) event->stringify(std::cout), std::cout << "\n";
    print(options, showEvent(event, colours));
  }
  std::cout << std::flush;
  return textIn(page, "next");
}

/// The next page; nothing while nobody answers, which is said once. An answer that refuses ends it, by its exit code.
std::optional<Document> nextPage(Client& client, const std::string& after, bool& said, int& code) {
  const auto reply = client.get("/api/v1/events?wait=30s&after=" + after);
  if (!reply) {
    if (!std::exchange(said, true)) std::cerr << "lemonade: " << reply.error().message << "; asking again\n";
    std::this_thread::sleep_for(kAskAgain);
    return std::nullopt;
  }
  said = false;
  const auto page = parseDocument(reply.value().body);
  if (!reply.value().ok() || !page) {
    code = refused(reply.value());
    return std::nullopt;
  }
  return page.value();
}

int follow(Client& client, const Options& options, std::string after, bool colours) {
  int code = kDone;
  for (bool said = false; code == kDone;)
    if (const auto page = nextPage(client, after, said, code)) after = printEvents(*page, options, colours);
  return code;
}

/// Asks for what ends in a reload. Its answer is lines; what is JSON of it is in the status.
int reloaded(const Options& options, const std::string& path) {
  return withBalancer(options, [&](Client& client) {
    const auto reply = client.ask("POST", path);
    if (!reply) return fail(kUnreachable, reply.error().message);
    const bool heard = reply.value().ok() || reply.value().status == 422;
    if (!heard) return refused(reply.value());
    const int code = reply.value().ok() ? kDone : kRefused;
    if (!options.json) {
      (code == kDone ? std::cout : std::cerr) << reply.value().body << std::flush;
      return code;
    }
    return asked(client, "GET", kStatus, [&](const Reply& status) {
      const auto document = parseDocument(status.body);
      if (!document) return fail(kUnreachable, document.error().message);
      if (const auto reload = objectIn(document.value(), "last_reload"); !reload.isNull())
        reload->stringify(std::cout, 2), std::cout << std::endl;
      return code;
    });
  });
}

}  // namespace

int runStatus(const Options& options) {
  return withBalancer(options, [&](Client& client) {
    return askedFor(client, options, kStatus, [&](const Document& status) {
      print(options, showStatus(status, wantsColour()));
      return isWell(status) ? kDone : kRefused;
    });
  });
}

int runBackends(const Options& options, const std::optional<std::string>& pool) {
  return withBalancer(options, [&](Client& client) {
    const auto path = "/api/v1/backends" + (pool ? "?pool=" + encoded(*pool) : "");
    return askedFor(client, options, path, [&](const Document& document) {
      print(options, showBackends(listIn(document, "backends"), wantsColour()));
      return kDone;
    });
  });
}

int runPlugins(const Options& options) {
  return withBalancer(options, [&](Client& client) {
    return askedFor(client, options, "/api/v1/plugins", [&](const Document& document) {
      print(options, showPlugins(document, wantsColour()));
      return kDone;
    });
  });
}

int runWhy(const Options& options, const std::string& pool, const std::string& lasting, unsigned count) {
  return withBalancer(options, [&](Client& client) {
    const auto path = "/api/v1/pools/" + encoded(pool) + "/why";
    const int begun = asked(client, "POST", path + "?for=" + encoded(lasting), [](const Reply&) { return kDone; });
    if (begun != kDone) return begun;
    for (;;) {
      std::this_thread::sleep_for(kLookAgain);
      bool recording = false;
      const int code = asked(client, "GET", path, [&](const Reply& reply) {
        const auto document = parseDocument(reply.body);
        if (!document) return fail(kUnreachable, document.error().message);
        recording = truthIn(document.value(), "recording");
        if (recording) return kDone;
        if (options.json) std::cout << reply.body << std::flush;
        print(options, showWhy(document.value(), count, wantsColour()));
        return kDone;
      });
      if (code != kDone || !recording) return code;
    }
  });
}

int runShadow(const Options& options, const std::optional<std::string>& pool) {
  return withBalancer(options, [&](Client& client) {
    const auto path = "/api/v1/shadows" + (pool ? "?pool=" + encoded(*pool) : "");
    return askedFor(client, options, path, [&](const Document& document) {
      if (pool && listIn(document, "shadows").empty())
        return fail(kRefused, "pool " + *pool + " has no shadow; set shadow = \"STRATEGY\" in its table");
      print(options, showShadows(document, pool.has_value(), wantsColour()));
      return kDone;
    });
  });
}

int runControl(const Options& options, const Control& control) {
  return withBalancer(options, [&](Client& client) {
    return asked(client, "GET", kStatus, [&](const Reply& reply) {
      const auto status = parseDocument(reply.body);
      if (!status) return fail(kUnreachable, status.error().message);
      const auto meant = meantBy(control.backend, status.value());
      if (!meant) return fail(kRefused, meant.error().message);
      return asked(client, "POST", targetOf(meant.value(), control), [&](const Reply& changed) {
        const auto change = parseDocument(changed.body);
        if (!change) return fail(kUnreachable, change.error().message);
        if (options.json) std::cout << changed.body << std::flush;
        print(options, showChange(change.value()));
        return kDone;
      });
    });
  });
}

int runReload(const Options& options) { return reloaded(options, "/api/v1/reload"); }

int runRelease(const Options& options, const std::string& plugin) {
  return reloaded(options, "/api/v1/plugins/" + encoded(plugin) + "/release");
}

int runReopen(const Options& options) {
  return withBalancer(options, [&](Client& client) {
    return asked(client, "POST", "/api/v1/reopen", [](const Reply& reply) {
      std::cout << reply.body << std::flush;
      return kDone;
    });
  });
}

int runEvents(const Options& options, unsigned count, bool follows) {
  return withBalancer(options, [&](Client& client) {
    const bool colours = wantsColour();
    return asked(client, "GET", "/api/v1/events?limit=" + std::to_string(count), [&](const Reply& reply) {
      const auto page = parseDocument(reply.body);
      if (!page) return fail(kUnreachable, page.error().message);
      if (options.json && !follows) return std::cout << reply.body << std::flush, kDone;
      const auto next = printEvents(page.value(), options, colours);
      return follows ? follow(client, options, next, colours) : kDone;
    });
  });
}

}  // namespace lemonade::cli
