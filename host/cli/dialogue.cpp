// SPDX-License-Identifier: MIT
#include "cli/dialogue.h"

#include "base/log_line.h"
#include "cli/style.h"

#include <Poco/JSON/Array.h>
#include <Poco/JSON/Object.h>

#include <array>
#include <cstdio>
#include <sstream>
#include <string_view>
#include <utility>

namespace lemonade::cli {

namespace {

constexpr std::size_t kMostLines = 40;  // of what was sent or came at once
constexpr const char* kIndent = "              ";

std::string timeOf(std::uint64_t ns) {
  std::array<char, 32> text{};
  (void)std::snprintf(text.data(), text.size(), "%9.3f ms", static_cast<double>(ns) / 1e6);
  return text.data();
}

/// Bytes as lines that a terminal can show: what is not printed stands as \xNN.
std::vector<std::string> dialogueLines(std::string_view bytes) {
  std::vector<std::string> lines;
  for (std::string line; !bytes.empty() || !line.empty();) {
    while (!bytes.empty() && bytes.front() != '\n') {
      const auto c = static_cast<unsigned char>(bytes.front());
      bytes.remove_prefix(1);
      if (c == '\r' && bytes.starts_with('\n')) continue;
      std::array<char, 8> escape{};
      if (c < ' ' || c >= 0x7f) (void)std::snprintf(escape.data(), escape.size(), "\\x%02x", c);
      line += escape[0] == '\0' ? std::string(1, static_cast<char>(c)) : escape.data();
    }
    if (!bytes.empty()) bytes.remove_prefix(1);
    lines.push_back(std::exchange(line, {}));
  }
  return lines;
}

std::string quoted(const std::string& bytes, const char* mark, bool colours) {
  std::string text;
  const auto lines = dialogueLines(bytes);
  for (std::size_t i = 0; i < lines.size() && i < kMostLines; ++i)
    text += kIndent + painted(std::string(mark) + " " + lines[i], Colour::kFaint, colours) + "\n";
  if (lines.size() > kMostLines) text += kIndent + std::to_string(lines.size() - kMostLines) + " more lines\n";
  return text;
}

std::string bytesText(const Step& step) {
  return step.what + " " + std::to_string(step.text.size()) + (step.text.size() == 1 ? " byte" : " bytes");
}

std::string showStep(const Step& step, bool colours) {
  const bool sent = step.what == "sent";
  if (sent || step.what == "received")
    return timeOf(step.at_ns) + "  " + bytesText(step) + "\n" + quoted(step.text, sent ? ">" : "<", colours);
  return timeOf(step.at_ns) + "  " + step.what + (step.text.empty() ? "" : ": " + harmless(step.text)) + "\n";
}

Poco::JSON::Object objectOf(const Step& step) {
  Poco::JSON::Object object(Poco::JSON_PRESERVE_KEY_ORDER);
  object.set("at_ms", static_cast<double>(step.at_ns) / 1e6);
  object.set("what", step.what);
  object.set("text", log::validUtf8(step.text));
  object.set("bytes", static_cast<Poco::UInt64>(step.text.size()));
  return object;
}

Poco::JSON::Object objectOf(const Dialogue& dialogue) {
  Poco::JSON::Object object(Poco::JSON_PRESERVE_KEY_ORDER);
  object.set("pool", dialogue.pool);
  object.set("backend", dialogue.backend);
  object.set("address", dialogue.address);
  object.set("checker", dialogue.checker);
  object.set("outcome", dialogue.outcome);
  object.set("reason", log::validUtf8(dialogue.reason));
  object.set("took_ms", static_cast<double>(dialogue.took_ns) / 1e6);
  Poco::JSON::Array steps;
  for (const auto& step : dialogue.steps) steps.add(objectOf(step));
  object.set("steps", steps);
  return object;
}

}  // namespace

std::string showDialogue(const Dialogue& dialogue, bool colours) {
  const std::string name = dialogue.pool + "/" + dialogue.backend;
  std::string text =
      painted(name, Colour::kBold, colours) + " at " + dialogue.address + ", checker " + dialogue.checker + "\n";
  for (const auto& step : dialogue.steps) text += showStep(step, colours);
  const auto colour = dialogue.outcome == "passed" ? Colour::kGood
                      : dialogue.passed()          ? Colour::kWarning
                                                   : Colour::kBad;
  return text + timeOf(dialogue.took_ns) + "  " + painted(dialogue.outcome, colour, colours) +
         (dialogue.reason.empty() ? "" : ": " + harmless(dialogue.reason)) + "\n";
}

std::string dialoguesJson(const std::vector<Dialogue>& dialogues) {
  Poco::JSON::Array checks;
  for (const auto& dialogue : dialogues) checks.add(objectOf(dialogue));
  Poco::JSON::Object object;
  object.set("checks", checks);
  std::ostringstream text;
  object.stringify(text, 2);
  text << "\n";
  return std::move(text).str();
}

}  // namespace lemonade::cli
