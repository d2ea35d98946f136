// SPDX-License-Identifier: MIT
#include "cli/document.h"

#include "cli/style.h"

#include <Poco/Dynamic/Var.h>
#include <Poco/Exception.h>
#include <Poco/JSON/Array.h>
#include <Poco/JSON/Parser.h>

namespace lemonade::cli {

namespace {

/// A member of that type; nothing is thrown where it is another.
template <class Value>
Value memberOf(const Document& document, const std::string& name) {
  if (document.isNull() || !document->has(name) || document->isNull(name)) return Value();
  try {
    return document->getValue<Value>(name);
  } catch (const Poco::Exception&) {
    return Value();
  }
}

Poco::JSON::Array::Ptr arrayIn(const Document& document, const std::string& name) {
  return document.isNull() ? Poco::JSON::Array::Ptr() : document->getArray(name);
}

}  // namespace

Result<Document> parseDocument(const std::string& text) try {
  const auto parsed = Poco::JSON::Parser().parse(text);
  if (parsed.type() == typeid(Document)) return parsed.extract<Document>();
  return Error{"the answer is no JSON object; is this a balancer?"};
} catch (const Poco::Exception& e) {
  return Error{"the answer is no JSON: " + e.displayText() + "; is this a balancer?"};
}

bool hasIn(const Document& document, const std::string& name) { return !document.isNull() && document->has(name); }

std::string textIn(const Document& document, const std::string& name) {
  return harmless(memberOf<std::string>(document, name));
}

double numberIn(const Document& document, const std::string& name) { return memberOf<double>(document, name); }

bool truthIn(const Document& document, const std::string& name) { return memberOf<bool>(document, name); }

Document objectIn(const Document& document, const std::string& name) {
  return document.isNull() ? Document() : document->getObject(name);
}

std::vector<Document> listIn(const Document& document, const std::string& name) {
  std::vector<Document> all;
  const auto array = arrayIn(document, name);
  for (unsigned i = 0; !array.isNull() && i < array->size(); ++i)
    if (auto object = array->getObject(i); !object.isNull()) all.push_back(std::move(object));
  return all;
}

std::vector<std::string> textsIn(const Document& document, const std::string& name) {
  std::vector<std::string> all;
  const auto array = arrayIn(document, name);
  for (unsigned i = 0; !array.isNull() && i < array->size(); ++i) all.push_back(harmless(array->get(i).toString()));
  return all;
}

}  // namespace lemonade::cli
