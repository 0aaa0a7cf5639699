// What operators are applied to: literals, names and brackets, and what follows "." and "[".
#include <algorithm>

#include "chat/jinja/parser.h"

namespace hachi::chat::jinja {

int depth(const std::vector<ExprPtr>& exprs) {
  int deepest = 0;
  for (const ExprPtr& expr : exprs) deepest = std::max(deepest, depth(expr));
  return deepest;
}

int depth(const ArgumentExprs& arguments) {
  int deepest = depth(arguments.positional);
  for (const auto& [name, expr] : arguments.named) deepest = std::max(deepest, depth(expr));
  return deepest;
}

Result<ExprPtr> Parser::primary() {
  if (is_operator("(")) return parenthesized();
  if (is_operator("[")) return list();
  if (is_operator("{")) return dict();
  return literal();
}

Result<ExprPtr> Parser::literal() {
  const Token first = token();
  switch (first.kind) {
    case TokenKind::kInteger:
      advance();
      return make(first.line, LiteralExpr{first.integer}, 0);
    case TokenKind::kFloat:
      advance();
      return make(first.line, LiteralExpr{first.number}, 0);
    case TokenKind::kString: {
      std::string text;  // neighbours are one literal
      for (; token().kind == TokenKind::kString; advance()) text += token().text;
      return make(first.line, LiteralExpr{text_value(std::move(text))}, 0);
    }
    case TokenKind::kName:
      advance();
      if (first.text == "true" || first.text == "True") {
        return make(first.line, LiteralExpr{true}, 0);
      }
      if (first.text == "false" || first.text == "False") {
        return make(first.line, LiteralExpr{false}, 0);
      }
      if (first.text == "none" || first.text == "None") {
        return make(first.line, LiteralExpr{None{}}, 0);
      }
      return make(first.line, NameExpr{first.text}, 0);
    default:
      return unexpected("an expression");
  }
}

Result<ExprPtr> Parser::parenthesized() {
  const int line = token().line;
  advance();
  if (take_operator(")")) return make(line, ListExpr{ListKind::kTuple, {}}, 0);
  TRY(ExprPtr inside, tuple());
  TRY(expect_operator(")"));
  return inside;
}

Result<ExprPtr> Parser::list() {
  const int line = token().line;
  advance();
  ListExpr node{ListKind::kList, {}};
  while (!take_operator("]")) {
    if (!node.items.empty()) {
      TRY(expect_operator(","));
      if (take_operator("]")) break;
    }
    TRY(ExprPtr item, conditional());
    node.items.push_back(std::move(item));
  }
  const int deepest = depth(node.items);
  return make(line, std::move(node), deepest);
}

Result<ExprPtr> Parser::dict() {
  const int line = token().line;
  advance();
  DictExpr node;
  int deepest = 0;
  while (!take_operator("}")) {
    if (!node.entries.empty()) {
      TRY(expect_operator(","));
      if (take_operator("}")) break;
    }
    TRY(ExprPtr key, conditional());
    TRY(expect_operator(":"));
    TRY(ExprPtr value, conditional());
    deepest = std::max({deepest, depth(key), depth(value)});
    node.entries.emplace_back(std::move(key), std::move(value));
  }
  return make(line, std::move(node), deepest);
}

// ".name", or ".0", which is "[0]".
Result<ExprPtr> Parser::attribute(ExprPtr object) {
  advance();
  const Token name = token();
  const int deepest = depth(object);
  if (name.kind == TokenKind::kInteger) {
    advance();
    TRY(ExprPtr index, make(name.line, LiteralExpr{name.integer}, 0));
    return make(name.line, SubscriptExpr{std::move(object), std::move(index)}, deepest);
  }
  TRY(std::string text, expect_any_name("a name after \".\""));
  return make(name.line, AttributeExpr{std::move(object), std::move(text)}, deepest);
}

Result<ExprPtr> Parser::subscript(ExprPtr object) {
  const int line = token().line;
  advance();
  SliceExpr slice;
  ExprPtr* parts[] = {&slice.start, &slice.stop, &slice.step};
  size_t part = 0;
  for (; part < 3; ++part) {
    if (!is_operator(":") && !is_operator("]")) {
      TRY(*parts[part], tuple());
    }
    if (!take_operator(":")) break;
  }
  TRY(expect_operator("]"));
  const int deepest =
      std::max({depth(object), depth(slice.start), depth(slice.stop), depth(slice.step)});
  if (part == 0) {
    if (!slice.start) {
      return fail(Code::kInvalidArgument, "line {}: \"[]\" needs an index", line);
    }
    return make(line, SubscriptExpr{std::move(object), std::move(slice.start)}, deepest);
  }
  slice.object = std::move(object);
  return make(line, std::move(slice), deepest);
}

}  // namespace hachi::chat::jinja
