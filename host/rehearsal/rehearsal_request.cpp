// SPDX-License-Identifier: MIT
//
// A rehearsal as bytes and back.
#include "config/backend_members.h"
#include "rehearsal/rehearsal.h"

#include <Poco/Exception.h>
#include <Poco/JSON/Array.h>
#include <Poco/JSON/Object.h>
#include <Poco/JSON/Parser.h>

#include <map>
#include <sstream>
#include <string>

namespace lemonade {

namespace {

using Poco::JSON::Array;
using Poco::JSON::Object;

/// The variant's index travels too: JSON does not tell 1.0 from 1.
Array encodeOptions(const config::OptionTable& options) {
  Array array;
  for (const auto& option : options) {
    Object object;
    object.set("key", option.key);
    object.set("type", option.value.index());
    std::visit([&](const auto& value) { object.set("value", value); }, option.value);
    array.add(object);
  }
  return array;
}

config::OptionTable decodeOptions(const Array& array) {
  config::OptionTable options;
  for (unsigned i = 0; i < array.size(); ++i) {
    const auto object = array.getObject(i);
    config::OptionValue option;
    option.key = object->getValue<std::string>("key");
    switch (object->getValue<unsigned>("type")) {
      case 0:
        option.value = object->getValue<bool>("value");
        break;
      case 1:
        option.value = object->getValue<std::int64_t>("value");
        break;
      case 2:
        option.value = object->getValue<double>("value");
        break;
      default:
        option.value = object->getValue<std::string>("value");
    }
    options.push_back(std::move(option));
  }
  return options;
}

// What a member is in JSON, and back.
template <class Member>
const Member& encoded(const Member& member) {
  return member;
}
Array encoded(const config::OptionTable& options) { return encodeOptions(options); }
Object encoded(const std::map<std::string, std::string>& labels) {
  Object object;
  for (const auto& [name, value] : labels) object.set(name, value);
  return object;
}

template <class Member>
void decodeInto(Member& member, const Object& object, const char* name) {
  member = object.getValue<Member>(name);
}
void decodeInto(config::OptionTable& options, const Object& object, const char* name) {
  options = decodeOptions(*object.getArray(name));
}
void decodeInto(std::map<std::string, std::string>& labels, const Object& object, const char* name) {
  for (const auto& [label, value] : *object.getObject(name)) labels[label] = value.convert<std::string>();
}

Object encodeBackend(const Rehearsal::Backend& backend) {
  Object object;
  config::eachMember(backend.configured,
                     [&](const char* name, const auto& member) { object.set(name, encoded(member)); });
  object.set("address", backend.address);
  return object;
}

Rehearsal::Backend decodeBackend(const Object& object) {
  Rehearsal::Backend backend;
  config::eachMember(backend.configured, [&](const char* name, auto& member) { decodeInto(member, object, name); });
  backend.address = object.getValue<std::string>("address");
  return backend;
}

}  // namespace

std::string Rehearsal::encode() const {
  Object object;
  object.set("kind", kind);
  object.set("id", choice.id);
  object.set("options", encodeOptions(choice.options));
  object.set("file", file);
  object.set("workers", workers);
  object.set("panic_threshold", panic_threshold);
  Array array;
  for (const auto& backend : backends) array.add(encodeBackend(backend));
  object.set("backends", array);
  if (state) object.set("state_format", state->format);
  std::ostringstream out;
  object.stringify(out);
  out << '\n';
  if (state) out << state->bytes;
  return out.str();
}

Result<Rehearsal> Rehearsal::decode(std::string_view bytes) try {
  const auto end = bytes.find('\n');
  if (end == std::string_view::npos) return Error{"the request is cut short"};
  const auto object = Poco::JSON::Parser().parse(std::string(bytes.substr(0, end))).extract<Object::Ptr>();
  Rehearsal rehearsal;
  rehearsal.kind = object->getValue<std::uint32_t>("kind");
  rehearsal.choice.id = object->getValue<std::string>("id");
  rehearsal.choice.options = decodeOptions(*object->getArray("options"));
  rehearsal.file = object->getValue<std::string>("file");
  rehearsal.workers = object->getValue<std::uint32_t>("workers");
  rehearsal.panic_threshold = object->getValue<double>("panic_threshold");
  const auto array = object->getArray("backends");
  for (unsigned i = 0; i < array->size(); ++i) rehearsal.backends.push_back(decodeBackend(*array->getObject(i)));
  if (object->has("state_format"))
    rehearsal.state =
        Strategy::State{object->getValue<std::string>("state_format"), std::string(bytes.substr(end + 1))};
  return rehearsal;
} catch (const Poco::Exception& e) {
  return Error{"the request cannot be read: " + e.displayText()};
}

}  // namespace lemonade
