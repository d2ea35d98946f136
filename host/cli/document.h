// SPDX-License-Identifier: MIT
//
// The balancer's answers as documents to look into. What is missing in one, because the balancer is older or newer than
// this command, is "", 0 or empty. Stateless; one thread.
#pragma once

#include "base/result.h"

#include <Poco/JSON/Object.h>

#include <string>
#include <vector>

namespace lemonade::cli {

using Document = Poco::JSON::Object::Ptr;

/// The object that a text is; the error says that it is none.
Result<Document> parseDocument(const std::string& text);

bool hasIn(const Document& document, const std::string& name);
/// A member as text, without what a terminal would obey.
std::string textIn(const Document& document, const std::string& name);
double numberIn(const Document& document, const std::string& name);
bool truthIn(const Document& document, const std::string& name);
/// Null where there is none.
Document objectIn(const Document& document, const std::string& name);
/// The objects of a list.
std::vector<Document> listIn(const Document& document, const std::string& name);
/// The texts of a list.
std::vector<std::string> textsIn(const Document& document, const std::string& name);

}  // namespace lemonade::cli
