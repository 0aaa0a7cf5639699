// Expressions, in the order of Jinja's precedence: conditional, or, and, not, comparison, + and -,
// ~, * / // %, **, sign, then subscripts, calls, filters and tests. It is Python's but for two
// things: ** is left-associative and looser than a sign, and "is" and "|" bind tighter than any
// operator.
#include <algorithm>

#include "chat/jinja/builtins.h"
#include "chat/jinja/parser.h"

namespace hachi::chat::jinja {
Result<ExprPtr> Parser::tuple(bool with_conditional) {
  const int line = token().line;
  const auto part = [&] { return with_conditional ? conditional() : logical_or(); };
  TRY(ExprPtr first, part());
  if (!is_operator(",")) return first;
  ListExpr node{ListKind::kTuple, {}};
  node.items.push_back(std::move(first));
  while (take_operator(",")) {
    const bool at_end = token().kind == TokenKind::kVariableEnd ||
                        token().kind == TokenKind::kBlockEnd || is_operator(")");
    if (at_end) break;
    TRY(ExprPtr item, part());
    node.items.push_back(std::move(item));
  }
  const int deepest = depth(node.items);
  return make(line, std::move(node), deepest);
}

Result<ExprPtr> Parser::conditional() {
  const Nesting nesting(*this);
  TRY(nesting.check());
  TRY(ExprPtr value, logical_or());
  while (is_name("if")) {
    const int line = token().line;
    advance();
    TRY(ExprPtr condition, logical_or());
    ExprPtr otherwise;
    if (take_name("else")) {
      TRY(otherwise, conditional());
    }
    const int deepest = std::max({depth(condition), depth(value), depth(otherwise)});
    TRY(value,
        make(line, ConditionalExpr{std::move(condition), std::move(value), std::move(otherwise)},
             deepest));
  }
  return value;
}

Result<ExprPtr> Parser::logical_or() {
  TRY(ExprPtr left, logical_and());
  while (is_name("or")) {
    const int line = token().line;
    advance();
    TRY(ExprPtr right, logical_and());
    const int deepest = std::max(depth(left), depth(right));
    TRY(left, make(line, LogicalExpr{false, std::move(left), std::move(right)}, deepest));
  }
  return left;
}

Result<ExprPtr> Parser::logical_and() {
  TRY(ExprPtr left, logical_not());
  while (is_name("and")) {
    const int line = token().line;
    advance();
    TRY(ExprPtr right, logical_not());
    const int deepest = std::max(depth(left), depth(right));
    TRY(left, make(line, LogicalExpr{true, std::move(left), std::move(right)}, deepest));
  }
  return left;
}

Result<ExprPtr> Parser::logical_not() {
  if (!is_name("not")) return comparison();
  const Nesting nesting(*this);
  TRY(nesting.check());
  const int line = token().line;
  advance();
  TRY(ExprPtr operand, logical_not());
  const int deepest = depth(operand);
  return make(line, UnaryExpr{UnaryOp::kNot, std::move(operand)}, deepest);
}

Result<ExprPtr> Parser::comparison() {
  static constexpr std::pair<std::string_view, CompareOp> kOps[] = {
      {"==", CompareOp::kEqual},  {"!=", CompareOp::kNotEqual},
      {"<", CompareOp::kLess},    {"<=", CompareOp::kLessEqual},
      {">", CompareOp::kGreater}, {">=", CompareOp::kGreaterEqual}};
  const int line = token().line;
  TRY(ExprPtr first, sum());
  CompareExpr node;
  int deepest = depth(first);
  for (;;) {
    CompareOp op = CompareOp::kEqual;
    if (is_name("in")) {
      op = CompareOp::kIn;
    } else if (is_name("not") && next_token().kind == TokenKind::kName &&
               next_token().text == "in") {
      advance();
      op = CompareOp::kNotIn;
    } else {
      const auto* const found = std::find_if(std::begin(kOps), std::end(kOps),
                                             [&](const auto& o) { return is_operator(o.first); });
      if (found == std::end(kOps)) break;
      op = found->second;
    }
    advance();
    TRY(ExprPtr right, sum());
    deepest = std::max(deepest, depth(right));
    node.rest.emplace_back(op, std::move(right));
  }
  if (node.rest.empty()) return first;
  node.first = std::move(first);
  return make(line, std::move(node), deepest);
}

Result<ExprPtr> Parser::sum() {
  TRY(ExprPtr left, concatenation());
  while (is_operator("+") || is_operator("-")) {
    const int line = token().line;
    const BinaryOp op = is_operator("+") ? BinaryOp::kAdd : BinaryOp::kSubtract;
    advance();
    TRY(ExprPtr right, concatenation());
    const int deepest = std::max(depth(left), depth(right));
    TRY(left, make(line, BinaryExpr{op, std::move(left), std::move(right)}, deepest));
  }
  return left;
}

Result<ExprPtr> Parser::concatenation() {
  const int line = token().line;
  TRY(ExprPtr first, product());
  if (!is_operator("~")) return first;
  ConcatExpr node;
  node.parts.push_back(std::move(first));
  while (take_operator("~")) {
    TRY(ExprPtr part, product());
    node.parts.push_back(std::move(part));
  }
  const int deepest = depth(node.parts);
  return make(line, std::move(node), deepest);
}

Result<ExprPtr> Parser::product() {
  static constexpr std::pair<std::string_view, BinaryOp> kOps[] = {{"*", BinaryOp::kMultiply},
                                                                   {"/", BinaryOp::kDivide},
                                                                   {"//", BinaryOp::kFloorDivide},
                                                                   {"%", BinaryOp::kModulo}};
  TRY(ExprPtr left, power());
  for (;;) {
    const auto* const op = std::find_if(std::begin(kOps), std::end(kOps),
                                        [&](const auto& o) { return is_operator(o.first); });
    if (op == std::end(kOps)) return left;
    const int line = token().line;
    advance();
    TRY(ExprPtr right, power());
    const int deepest = std::max(depth(left), depth(right));
    TRY(left, make(line, BinaryExpr{op->second, std::move(left), std::move(right)}, deepest));
  }
}

Result<ExprPtr> Parser::power() {
  TRY(ExprPtr left, unary());
  while (is_operator("**")) {
    const int line = token().line;
    advance();
    TRY(ExprPtr right, unary());
    const int deepest = std::max(depth(left), depth(right));
    TRY(left, make(line, BinaryExpr{BinaryOp::kPower, std::move(left), std::move(right)}, deepest));
  }
  return left;
}

Result<ExprPtr> Parser::unary(bool with_filters) {
  const Nesting nesting(*this);
  TRY(nesting.check());
  ExprPtr node;
  if (is_operator("-") || is_operator("+")) {
    const int line = token().line;
    const UnaryOp op = is_operator("-") ? UnaryOp::kMinus : UnaryOp::kPlus;
    advance();
    TRY(ExprPtr operand, unary(false));
    const int deepest = depth(operand);
    TRY(node, make(line, UnaryExpr{op, std::move(operand)}, deepest));
  } else {
    TRY(node, primary());
  }
  TRY(node, postfix(std::move(node)));
  if (!with_filters) return node;
  return filters_and_tests(std::move(node));
}

Result<ExprPtr> Parser::postfix(ExprPtr object) {
  for (;;) {
    if (is_operator(".")) {
      TRY(object, attribute(std::move(object)));
    } else if (is_operator("[")) {
      TRY(object, subscript(std::move(object)));
    } else if (is_operator("(")) {
      const int line = token().line;
      CallExpr node;
      TRY(node.arguments, arguments());
      const int deepest = std::max(depth(object), depth(node.arguments));
      node.callee = std::move(object);
      TRY(object, make(line, std::move(node), deepest));
    } else {
      return object;
    }
  }
}

Result<ExprPtr> Parser::filters_and_tests(ExprPtr input) {
  for (;;) {
    if (take_operator("|")) {
      TRY(input, filter(std::move(input)));
    } else if (take_name("is")) {
      TRY(input, test(std::move(input)));
    } else if (is_operator("(")) {
      TRY(input, postfix(std::move(input)));
    } else {
      return input;
    }
  }
}

Result<ExprPtr> Parser::filter(ExprPtr input) {
  const int line = token().line;
  FilterExpr node;
  TRY(node.name, expect_any_name("the name of a filter"));
  node.function = find_filter(node.name);
  if (!node.function) {
    return fail(Code::kUnsupported, "line {}: unknown filter \"{}\"", line, node.name);
  }
  if (is_operator("(")) {
    TRY(node.arguments, arguments());
  }
  const int deepest = std::max(depth(input), depth(node.arguments));
  node.input = std::move(input);
  return make(line, std::move(node), deepest);
}

Result<ExprPtr> Parser::test(ExprPtr input) {
  const int line = token().line;
  const bool negated = take_name("not");
  TestExpr node;
  TRY(node.name, expect_any_name("the name of a test"));
  node.function = find_test(node.name);
  if (!node.function) {
    return fail(Code::kUnsupported, "line {}: unknown test \"{}\"", line, node.name);
  }
  const bool is_operand =
      token().kind == TokenKind::kString || token().kind == TokenKind::kInteger ||
      token().kind == TokenKind::kFloat || is_operator("[") || is_operator("{") ||
      (token().kind == TokenKind::kName && !is_name("else") && !is_name("or") && !is_name("and"));
  if (is_operator("(")) {
    TRY(node.arguments, arguments());
  } else if (is_name("is")) {
    return fail(Code::kInvalidArgument, "line {}: tests cannot be chained with \"is\"", line);
  } else if (is_operand) {
    TRY(ExprPtr argument, primary());
    TRY(argument, postfix(std::move(argument)));
    node.arguments.positional.push_back(std::move(argument));
  }
  const int deepest = std::max(depth(input), depth(node.arguments));
  node.input = std::move(input);
  TRY(ExprPtr out, make(line, std::move(node), deepest));
  if (!negated) return out;
  return make(line, UnaryExpr{UnaryOp::kNot, std::move(out)}, deepest + 1);
}

Result<ArgumentExprs> Parser::arguments() {
  ArgumentExprs out;
  TRY(expect_operator("("));
  bool first = true;
  while (!take_operator(")")) {
    if (!std::exchange(first, false)) {
      TRY(expect_operator(","));
      if (take_operator(")")) break;
    }
    if (is_operator("*") || is_operator("**")) {
      return fail(Code::kUnsupported, "line {}: unpacking arguments with \"{}\" is not supported",
                  token().line, token().text);
    }
    const bool is_named = token().kind == TokenKind::kName &&
                          next_token().kind == TokenKind::kOperator && next_token().text == "=";
    std::string name;
    if (is_named) {
      name = token().text;
      advance();
      advance();
    } else if (!out.named.empty()) {
      return unexpected("a named argument");
    }
    TRY(ExprPtr value, conditional());
    if (is_named) {
      out.named.emplace_back(std::move(name), std::move(value));
    } else {
      out.positional.push_back(std::move(value));
    }
  }
  return out;
}

}  // namespace hachi::chat::jinja
