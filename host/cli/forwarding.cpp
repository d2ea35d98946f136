// SPDX-License-Identifier: MIT
#include "cli/forwarding.h"

#include "cli/style.h"

#include <cstdint>
#include <sstream>

namespace lemonade::cli {

namespace {

constexpr double kNearlyFull = 0.9;  // of conntrack, as the alert has it

std::string hexText(double number) {
  std::ostringstream text;
  text << "0x" << std::hex << static_cast<std::uint64_t>(number);
  return text.str();
}

std::string judged(bool good, const char* yes, const char* no, bool colours) {
  return painted(good ? yes : no, good ? Colour::kGood : Colour::kBad, colours);
}

}  // namespace

std::string forwardingText(const Document& status, bool colours) {
  const auto kernel = objectIn(status, "kernel");
  if (kernel.isNull()) return "";
  std::string text = "the kernel forwards by the table inet " + textIn(kernel, "table") + ", queue " +
                     textIn(kernel, "queue") + ", mark " + hexText(numberIn(kernel, "tag")) + ": " +
                     judged(truthIn(kernel, "up_to_date"), "up to date", "not up to date", colours) + ", " +
                     judged(truthIn(kernel, "asks"), "asks", "asks nobody", colours) + "; " +
                     countText(numberIn(kernel, "unasked")) + " connections came unasked";
  if (const auto waiting = textIn(kernel, "waiting"); !waiting.empty()) text += ", " + waiting + " packets wait";
  if (const auto conntrack = objectIn(kernel, "conntrack"); !conntrack.isNull())
    text += ", conntrack has " + textIn(conntrack, "entries") + " of " + textIn(conntrack, "limit");
  return text + "\n";
}

// While it stops, the kernel is to ask nobody.
std::vector<std::string> forwardingTroubles(const Document& status) {
  const auto kernel = objectIn(status, "kernel");
  if (kernel.isNull() || textIn(status, "state") != "running") return {};
  std::vector<std::string> lines;
  if (!truthIn(kernel, "up_to_date"))
    lines.push_back("stale: the table inet " + textIn(kernel, "table") +
                    " cannot be changed, so the kernel knows nothing new of backends; the log says why");
  if (!truthIn(kernel, "asks"))
    lines.push_back("unasked: the kernel asks nobody, and new connections go by the table's weights");
  const auto conntrack = objectIn(kernel, "conntrack");
  if (!conntrack.isNull() && numberIn(conntrack, "entries") > kNearlyFull * numberIn(conntrack, "limit"))
    lines.push_back("nearly full: conntrack has " + textIn(conntrack, "entries") +
                    " entries of net.netfilter.nf_conntrack_max = " + textIn(conntrack, "limit") +
                    ", and then drops new connections");
  return lines;
}

}  // namespace lemonade::cli
