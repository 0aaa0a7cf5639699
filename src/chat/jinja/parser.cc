#include "chat/jinja/parser.h"

#include <algorithm>

#include "chat/jinja/builtins.h"

namespace hachi::chat::jinja {
namespace {

std::string describe(const Token& token) {
  switch (token.kind) {
    case TokenKind::kText:
      return "text";
    case TokenKind::kVariableBegin:
      return "\"{{\"";
    case TokenKind::kVariableEnd:
      return "\"}}\"";
    case TokenKind::kBlockBegin:
      return "\"{%\"";
    case TokenKind::kBlockEnd:
      return "\"%}\"";
    case TokenKind::kEnd:
      return "the end of the template";
    case TokenKind::kString:
      return "a string";
    default:
      return fmt::format("\"{}\"", token.text);
  }
}

}  // namespace

Result<void> Parser::Nesting::check() const {
  if (parser_.nesting_ <= kMaxNesting) return {};
  return fail(Code::kLimit, "line {}: more than {} blocks and brackets inside one another",
              parser_.token().line, kMaxNesting);
}

bool Parser::is_operator(std::string_view text) const {
  return token().kind == TokenKind::kOperator && token().text == text;
}

bool Parser::is_name(std::string_view text) const {
  return token().kind == TokenKind::kName && token().text == text;
}

bool Parser::take_operator(std::string_view text) {
  if (!is_operator(text)) return false;
  advance();
  return true;
}

bool Parser::take_name(std::string_view text) {
  if (!is_name(text)) return false;
  advance();
  return true;
}

Result<void> Parser::expect_operator(std::string_view text) {
  if (take_operator(text)) return {};
  return unexpected(fmt::format("\"{}\"", text));
}

Result<void> Parser::expect_name(std::string_view text) {
  if (take_name(text)) return {};
  return unexpected(fmt::format("\"{}\"", text));
}

Result<void> Parser::expect(TokenKind kind, std::string_view what) {
  if (token().kind != kind) return unexpected(what);
  advance();
  return {};
}

Result<std::string> Parser::expect_any_name(std::string_view what) {
  if (token().kind != TokenKind::kName) return unexpected(what);
  std::string name = token().text;
  advance();
  return name;
}

tl::unexpected<Error> Parser::unexpected(std::string_view wanted) const {
  return fail(Code::kInvalidArgument, "line {}: expected {}, found {}", token().line, wanted,
              describe(token()));
}

template <class Node>
Result<void> Parser::add(Body& out, int line, Node node) {
  if (++num_nodes_ > kMaxNodes) {
    return fail(Code::kLimit, "line {}: the template has more than {} nodes", line, kMaxNodes);
  }
  out.push_back(std::make_unique<const Statement>(Statement{line, std::move(node)}));
  return {};
}

Result<Template> Parser::parse() {
  TRY(Body all, body({}));
  return Template{std::move(all)};
}

Result<Body> Parser::body(Ends ends) {
  const Nesting nesting(*this);
  TRY(nesting.check());
  Body out;
  for (;;) {
    const int line = token().line;
    if (token().kind == TokenKind::kEnd) {
      if (ends.size() == 0) return out;
      return unexpected(fmt::format("\"{{% {} %}}\"", *(ends.end() - 1)));
    }
    if (token().kind == TokenKind::kText) {
      TRY(add(out, line, TextStatement{std::make_shared<const Text>(Text{token().text, {}})}));
      advance();
    } else if (token().kind == TokenKind::kVariableBegin) {
      advance();
      TRY(ExprPtr value, tuple());
      TRY(expect(TokenKind::kVariableEnd, "\"}}\""));
      TRY(add(out, line, PrintStatement{std::move(value)}));
    } else {
      TRY(expect(TokenKind::kBlockBegin, "\"{%\""));
      if (token().kind == TokenKind::kName &&
          std::find(ends.begin(), ends.end(), token().text) != ends.end()) {
        return out;
      }
      TRY(statement(out));
    }
  }
}

Result<Body> Parser::body_through(std::string_view end) {
  TRY(expect(TokenKind::kBlockEnd, "\"%}\""));
  TRY(Body out, body({end}));
  advance();
  TRY(expect(TokenKind::kBlockEnd, "\"%}\""));
  return out;
}

Result<void> Parser::statement(Body& out) {
  if (is_name("if")) return if_statement(out);
  if (is_name("for")) return for_statement(out);
  if (is_name("set")) return set_statement(out);
  if (is_name("macro")) return macro_statement(out);
  if (is_name("filter")) return filter_block(out);
  if (is_name("with")) return with_statement(out);
  if (is_name("generation")) return generation(out);
  if (is_name("break") || is_name("continue")) return loop_control(out);
  if (token().kind != TokenKind::kName) return unexpected("the name of a tag");
  return fail(Code::kUnsupported, "line {}: the tag \"{}\" is unknown, not supported or misplaced",
              token().line, token().text);
}

Result<void> Parser::if_statement(Body& out) {
  const int line = token().line;
  IfStatement node;
  do {
    advance();
    TRY(ExprPtr condition, tuple(false));
    TRY(expect(TokenKind::kBlockEnd, "\"%}\""));
    TRY(Body branch, body({"elif", "else", "endif"}));
    node.branches.emplace_back(std::move(condition), std::move(branch));
  } while (is_name("elif"));
  if (take_name("else")) {
    TRY(node.otherwise, body_through("endif"));
  } else {
    advance();
    TRY(expect(TokenKind::kBlockEnd, "\"%}\""));
  }
  return add(out, line, std::move(node));
}

Result<void> Parser::for_statement(Body& out) {
  const int line = token().line;
  advance();
  ForStatement node;
  TRY(node.target, target(false));
  TRY(expect_name("in"));
  TRY(node.iterable, tuple(false));
  if (take_name("if")) {
    TRY(node.filter, conditional());
  }
  if (is_name("recursive")) {
    return fail(Code::kUnsupported, "line {}: recursive loops are not supported", token().line);
  }
  TRY(expect(TokenKind::kBlockEnd, "\"%}\""));
  ++loops_;
  ++scopes_;
  TRY(node.body, body({"else", "endfor"}));
  --loops_;
  if (take_name("else")) {
    TRY(node.otherwise, body_through("endfor"));
  } else {
    advance();
    TRY(expect(TokenKind::kBlockEnd, "\"%}\""));
  }
  --scopes_;
  return add(out, line, std::move(node));
}

// One name, "name.attribute" where allowed, or names with commas between, perhaps in parentheses.
Result<Target> Parser::target(bool may_be_attribute) {
  Target out;
  const bool parenthesized = take_operator("(");
  for (;;) {
    TRY(std::string name, expect_any_name("a name to assign to"));
    out.names.push_back(std::move(name));
    if (may_be_attribute && !out.unpacks && !parenthesized && take_operator(".")) {
      TRY(out.attribute, expect_any_name("the name of an attribute"));
      return out;
    }
    if (!take_operator(",")) break;
    out.unpacks = true;
    if (token().kind != TokenKind::kName || is_name("in")) break;
  }
  if (parenthesized) {
    TRY(expect_operator(")"));
  }
  return out;
}

Result<void> Parser::set_statement(Body& out) {
  const int line = token().line;
  advance();
  TRY(Target to, target(true));
  if (take_operator("=")) {
    TRY(ExprPtr value, tuple());
    TRY(expect(TokenKind::kBlockEnd, "\"%}\""));
    return add(out, line, SetStatement{std::move(to), std::move(value)});
  }
  SetBlockStatement node{std::move(to), nullptr, {}};
  TRY(node.value, make(line, BodyExpr{}, 0));
  TRY(node.value, filters_and_tests(std::move(node.value)));
  ++scopes_;
  TRY(node.body, body_through("endset"));
  --scopes_;
  return add(out, line, std::move(node));
}

Result<void> Parser::macro_statement(Body& out) {
  const int line = token().line;
  if (scopes_ > 0) {
    return fail(Code::kUnsupported,
                "line {}: a macro must not be defined within a loop, a macro or a block", line);
  }
  advance();
  Macro node;
  TRY(node.name, expect_any_name("the name of a macro"));
  TRY(expect_operator("("));
  while (!take_operator(")")) {
    if (!node.parameters.empty()) {
      TRY(expect_operator(","));
    }
    TRY(std::string name, expect_any_name("the name of a parameter"));
    ExprPtr value;
    if (take_operator("=")) {
      TRY(value, conditional());
    } else if (!node.parameters.empty() && node.parameters.back().second) {
      return fail(Code::kInvalidArgument,
                  "line {}: parameter \"{}\" without a default follows one with a default", line,
                  name);
    }
    node.parameters.emplace_back(std::move(name), std::move(value));
  }
  ++scopes_;
  const int loops = std::exchange(loops_, 0);
  TRY(node.body, body_through("endmacro"));
  loops_ = loops;
  --scopes_;
  return add(out, line, std::move(node));
}

Result<void> Parser::filter_block(Body& out) {
  const int line = token().line;
  advance();
  FilterBlockStatement node;
  TRY(node.value, make(line, BodyExpr{}, 0));
  TRY(node.value, filter(std::move(node.value)));
  TRY(node.value, filters_and_tests(std::move(node.value)));
  ++scopes_;
  TRY(node.body, body_through("endfilter"));
  --scopes_;
  return add(out, line, std::move(node));
}

Result<void> Parser::with_statement(Body& out) {
  const int line = token().line;
  advance();
  WithStatement node;
  while (token().kind != TokenKind::kBlockEnd) {
    if (!node.assignments.empty()) {
      TRY(expect_operator(","));
    }
    TRY(Target to, target(false));
    TRY(expect_operator("="));
    TRY(ExprPtr value, conditional());
    node.assignments.emplace_back(std::move(to), std::move(value));
  }
  ++scopes_;
  TRY(node.body, body_through("endwith"));
  --scopes_;
  return add(out, line, std::move(node));
}

// {% generation %} marks what training counts as the assistant's; nothing to do for a prompt.
Result<void> Parser::generation(Body& out) {
  advance();
  TRY(Body inside, body_through("endgeneration"));
  std::move(inside.begin(), inside.end(), std::back_inserter(out));
  return {};
}

Result<void> Parser::loop_control(Body& out) {
  const int line = token().line;
  const bool is_break = is_name("break");
  if (loops_ == 0) {
    return fail(Code::kInvalidArgument, "line {}: \"{}\" outside of a loop", line, token().text);
  }
  advance();
  TRY(expect(TokenKind::kBlockEnd, "\"%}\""));
  if (is_break) return add(out, line, BreakStatement{});
  return add(out, line, ContinueStatement{});
}

Result<Template> parse_template(std::string_view source) {
  TRY(std::vector<Token> tokens, tokenize(source));
  return Parser(std::move(tokens)).parse();
}

}  // namespace hachi::chat::jinja
