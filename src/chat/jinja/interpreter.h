// Runs a syntax tree. interpreter.cc has the statements, evaluate.cc the expressions.
#pragma once

#include <string_view>
#include <utility>
#include <vector>

#include "chat/jinja/ast.h"
#include "chat/jinja/builtins.h"
#include "chat/jinja/parser.h"
#include "chat/jinja/text.h"

namespace hachi::chat::jinja {

// The variables of one block, and of those around it. A loop's iteration, a macro and a "with"
// have their own; an "if" has not. Names are views into the syntax tree or the caller's.
class Scope {
 public:
  explicit Scope(const Scope* around) : around_(around) {}

  void set(std::string_view name, Value value);
  // The innermost variable of that name, or null.
  Result<const Value*> find(Budget& budget, std::string_view name) const;

 private:
  const Scope* around_;
  std::vector<std::pair<std::string_view, Value>> variables_;
};

class Interpreter {
 public:
  Interpreter(Runtime& runtime, Scope& globals) : runtime_(runtime), globals_(&globals) {}

  // What the template prints. Errors begin with the line where they arose.
  Result<Text> run(const Template& program);

 private:
  enum class Flow { kNext, kBreak, kContinue };

  // Counts one level of recursion as long as it lives.
  class Level {
   public:
    explicit Level(Interpreter& interpreter) : interpreter_(interpreter) { ++interpreter_.depth_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;
    ~Level() { --interpreter_.depth_; }
    Result<void> enter();

   private:
    Interpreter& interpreter_;
  };

  // Statements.
  Result<Flow> run_body(const Body& body, Scope& scope);
  Result<Flow> run_statement(const Statement& statement, Scope& scope);
  Result<Flow> run_node(const TextStatement& node, Scope& scope);
  Result<Flow> run_node(const PrintStatement& node, Scope& scope);
  Result<Flow> run_node(const IfStatement& node, Scope& scope);
  Result<Flow> run_node(const ForStatement& node, Scope& scope);
  Result<Flow> run_node(const SetStatement& node, Scope& scope);
  Result<Flow> run_node(const SetBlockStatement& node, Scope& scope);
  Result<Flow> run_node(const FilterBlockStatement& node, Scope& scope);
  Result<Flow> run_node(const WithStatement& node, Scope& scope);
  Result<Flow> run_node(const Macro& node, Scope& scope);
  Result<Flow> run_node(const BreakStatement& node, Scope& scope);
  Result<Flow> run_node(const ContinueStatement& node, Scope& scope);
  Result<ListPtr> loop_items(const ForStatement& node, const Scope& scope);
  Result<void> assign(const Target& target, Value value, Scope& scope);
  // What `body` prints, in a scope of its own, passed through the filters of `value`. The flow is
  // that of the body.
  Result<std::pair<Value, Flow>> capture(const Body& body, const ExprPtr& value, Scope& scope);

  // Expressions.
  Result<Value> evaluate(const Expr& expr, const Scope& scope);
  Result<Value> evaluate_or_none(const ExprPtr& expr, const Scope& scope);
  Result<Value> eval_node(const LiteralExpr& node, const Scope& scope);
  Result<Value> eval_node(const NameExpr& node, const Scope& scope);
  Result<Value> eval_node(const BodyExpr& node, const Scope& scope);
  Result<Value> eval_node(const AttributeExpr& node, const Scope& scope);
  Result<Value> eval_node(const SubscriptExpr& node, const Scope& scope);
  Result<Value> eval_node(const SliceExpr& node, const Scope& scope);
  Result<Value> eval_node(const UnaryExpr& node, const Scope& scope);
  Result<Value> eval_node(const BinaryExpr& node, const Scope& scope);
  Result<Value> eval_node(const LogicalExpr& node, const Scope& scope);
  Result<Value> eval_node(const ConcatExpr& node, const Scope& scope);
  Result<Value> eval_node(const CompareExpr& node, const Scope& scope);
  Result<Value> eval_node(const ConditionalExpr& node, const Scope& scope);
  Result<Value> eval_node(const FilterExpr& node, const Scope& scope);
  Result<Value> eval_node(const TestExpr& node, const Scope& scope);
  Result<Value> eval_node(const CallExpr& node, const Scope& scope);
  Result<Value> eval_node(const ListExpr& node, const Scope& scope);
  Result<Value> eval_node(const DictExpr& node, const Scope& scope);
  Result<Arguments> evaluate_arguments(std::string_view callee, const ArgumentExprs& exprs,
                                       const Scope& scope);
  Result<Value> call_macro(const Macro& macro, const Arguments& arguments);
  Result<void> bind_parameters(const Macro& macro, const Arguments& arguments, Scope& scope);

  Runtime& runtime_;
  Scope* globals_;
  TextBuilder* out_ = nullptr;
  Value body_;  // see BodyExpr
  int depth_ = 0;
  int line_ = 1;
};

}  // namespace hachi::chat::jinja
