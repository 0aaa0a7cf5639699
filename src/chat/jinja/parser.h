// From the source of a template to its syntax tree, by recursive descent. Filters and tests are
// looked up here, so that a template that needs one that is missing is refused when it is loaded.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "chat/jinja/ast.h"
#include "chat/jinja/lexer.h"
#include "core/result.h"

namespace hachi::chat::jinja {

// Blocks and brackets inside one another.
inline constexpr int kMaxNesting = 100;
// Expressions inside one another, which a long chain of + or | makes without any bracket.
inline constexpr int kMaxExprDepth = 200;
inline constexpr size_t kMaxNodes = 100'000;

struct Template {
  Body body;
};

Result<Template> parse_template(std::string_view source);

// The state of one parse. parser.cc has statements, parse_expression.cc operators,
// parse_primary.cc what operators are applied to.
class Parser {
 public:
  explicit Parser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  Result<Template> parse();

 private:
  // Counts one level of nesting as long as it lives.
  class Nesting {
   public:
    explicit Nesting(Parser& parser) : parser_(parser) { ++parser_.nesting_; }
    Nesting(const Nesting&) = delete;
    Nesting& operator=(const Nesting&) = delete;
    ~Nesting() { --parser_.nesting_; }
    Result<void> check() const;

   private:
    Parser& parser_;
  };

  // Tokens.
  const Token& token() const { return tokens_[at_]; }
  const Token& next_token() const { return tokens_[at_ + 1 < tokens_.size() ? at_ + 1 : at_]; }
  void advance() { at_ += at_ + 1 < tokens_.size() ? 1 : 0; }
  bool is_operator(std::string_view text) const;
  bool is_name(std::string_view text) const;
  bool take_operator(std::string_view text);
  bool take_name(std::string_view text);
  Result<void> expect_operator(std::string_view text);
  Result<void> expect_name(std::string_view text);
  Result<void> expect(TokenKind kind, std::string_view what);
  Result<std::string> expect_any_name(std::string_view what);
  tl::unexpected<Error> unexpected(std::string_view wanted) const;

  // Statements.
  using Ends = std::initializer_list<std::string_view>;
  // Up to a block tag whose name is one of `ends`, which is then the current token; with none, up
  // to the end of the template.
  Result<Body> body(Ends ends);
  // As body(), and goes on behind the tag, whose name must be the only one of `ends`.
  Result<Body> body_through(std::string_view end);
  Result<void> statement(Body& out);
  Result<void> if_statement(Body& out);
  Result<void> for_statement(Body& out);
  Result<void> set_statement(Body& out);
  Result<void> macro_statement(Body& out);
  Result<void> filter_block(Body& out);
  Result<void> with_statement(Body& out);
  Result<void> generation(Body& out);
  Result<void> loop_control(Body& out);
  Result<Target> target(bool may_be_attribute);
  template <class Node>
  Result<void> add(Body& out, int line, Node node);

  // Expressions, from loosest to tightest.
  Result<ExprPtr> tuple(bool with_conditional = true);
  Result<ExprPtr> conditional();
  Result<ExprPtr> logical_or();
  Result<ExprPtr> logical_and();
  Result<ExprPtr> logical_not();
  Result<ExprPtr> comparison();
  Result<ExprPtr> sum();
  Result<ExprPtr> concatenation();
  Result<ExprPtr> product();
  Result<ExprPtr> power();
  Result<ExprPtr> unary(bool with_filters = true);
  Result<ExprPtr> primary();
  Result<ExprPtr> literal();
  Result<ExprPtr> parenthesized();
  Result<ExprPtr> list();
  Result<ExprPtr> dict();
  Result<ExprPtr> postfix(ExprPtr object);
  Result<ExprPtr> attribute(ExprPtr object);
  Result<ExprPtr> subscript(ExprPtr object);
  Result<ExprPtr> filters_and_tests(ExprPtr input);
  Result<ExprPtr> filter(ExprPtr input);
  Result<ExprPtr> test(ExprPtr input);
  Result<ArgumentExprs> arguments();
  template <class Node>
  Result<ExprPtr> make(int line, Node node, int children_depth);

  std::vector<Token> tokens_;
  size_t at_ = 0;
  int nesting_ = 0;
  size_t num_nodes_ = 0;
  int loops_ = 0;   // for statements around
  int scopes_ = 0;  // statements around whose variables end with them
};

template <class Node>
Result<ExprPtr> Parser::make(int line, Node node, int children_depth) {
  if (++num_nodes_ > kMaxNodes) {
    return fail(Code::kLimit, "line {}: the template has more than {} nodes", line, kMaxNodes);
  }
  if (children_depth >= kMaxExprDepth) {
    return fail(Code::kLimit, "line {}: an expression is more than {} levels deep", line,
                kMaxExprDepth);
  }
  return ExprPtr(std::make_unique<const Expr>(Expr{line, children_depth + 1, std::move(node)}));
}

}  // namespace hachi::chat::jinja
