// The expressions of the interpreter.
#include <algorithm>

#include "chat/jinja/interpreter.h"
#include "chat/jinja/operators.h"

namespace hachi::chat::jinja {

Result<Value> Interpreter::evaluate(const Expr& expr, const Scope& scope) {
  Level level(*this);
  line_ = expr.line;
  TRY(level.enter());
  return std::visit([&](const auto& node) { return eval_node(node, scope); }, expr.node);
}

Result<Value> Interpreter::evaluate_or_none(const ExprPtr& expr, const Scope& scope) {
  if (!expr) return Value(None{});
  return evaluate(*expr, scope);
}

Result<Value> Interpreter::eval_node(const LiteralExpr& node, const Scope&) { return node.value; }

Result<Value> Interpreter::eval_node(const NameExpr& node, const Scope& scope) {
  TRY(const Value* found, scope.find(runtime_.budget, node.name));
  if (found) return *found;
  if (const Builtin function = find_function(node.name)) {
    return Value(
        FunctionPtr(std::make_shared<const Function>(Function{node.name, nullptr, function, {}})));
  }
  return Value::undefined(fmt::format("\"{}\" is undefined", node.name));
}

Result<Value> Interpreter::eval_node(const BodyExpr&, const Scope&) { return body_; }

Result<Value> Interpreter::eval_node(const AttributeExpr& node, const Scope& scope) {
  TRY(const Value object, evaluate(*node.object, scope));
  return get_attribute(runtime_.budget, object, node.name);
}

Result<Value> Interpreter::eval_node(const SubscriptExpr& node, const Scope& scope) {
  TRY(const Value object, evaluate(*node.object, scope));
  TRY(const Value index, evaluate(*node.index, scope));
  return get_item(runtime_.budget, object, index);
}

Result<Value> Interpreter::eval_node(const SliceExpr& node, const Scope& scope) {
  TRY(const Value object, evaluate(*node.object, scope));
  TRY(const Value start, evaluate_or_none(node.start, scope));
  TRY(const Value stop, evaluate_or_none(node.stop, scope));
  TRY(const Value step, evaluate_or_none(node.step, scope));
  return get_slice(runtime_.budget, object, start, stop, step);
}

Result<Value> Interpreter::eval_node(const UnaryExpr& node, const Scope& scope) {
  TRY(const Value operand, evaluate(*node.operand, scope));
  if (node.op == UnaryOp::kNot) return Value(!operand.truth());
  return negate(operand, node.op);
}

Result<Value> Interpreter::eval_node(const BinaryExpr& node, const Scope& scope) {
  TRY(const Value left, evaluate(*node.left, scope));
  TRY(const Value right, evaluate(*node.right, scope));
  return apply(runtime_.budget, node.op, left, right);
}

Result<Value> Interpreter::eval_node(const LogicalExpr& node, const Scope& scope) {
  TRY(Value left, evaluate(*node.left, scope));
  if (left.truth() != node.is_and) return left;
  return evaluate(*node.right, scope);
}

Result<Value> Interpreter::eval_node(const ConcatExpr& node, const Scope& scope) {
  TextBuilder out(runtime_.budget);
  for (const ExprPtr& part : node.parts) {
    TRY(const Value value, evaluate(*part, scope));
    TRY(print(runtime_.budget, out, value));
  }
  return text_value(out.finish());
}

Result<Value> Interpreter::eval_node(const CompareExpr& node, const Scope& scope) {
  TRY(Value left, evaluate(*node.first, scope));
  for (const auto& [op, expr] : node.rest) {
    TRY(Value right, evaluate(*expr, scope));
    TRY(const bool holds, compare(runtime_.budget, op, left, right));
    if (!holds) return Value(false);
    left = std::move(right);
  }
  return Value(true);
}

Result<Value> Interpreter::eval_node(const ConditionalExpr& node, const Scope& scope) {
  TRY(const Value condition, evaluate(*node.condition, scope));
  if (condition.truth()) return evaluate(*node.value, scope);
  if (node.otherwise) return evaluate(*node.otherwise, scope);
  return Value::undefined("an inline \"if\" without \"else\" has no value");
}

Result<Value> Interpreter::eval_node(const FilterExpr& node, const Scope& scope) {
  TRY(const Value input, evaluate(*node.input, scope));
  TRY(const Arguments arguments, evaluate_arguments(node.name, node.arguments, scope));
  return node.function(runtime_, input, arguments);
}

Result<Value> Interpreter::eval_node(const TestExpr& node, const Scope& scope) {
  TRY(const Value input, evaluate(*node.input, scope));
  TRY(const Arguments arguments, evaluate_arguments(node.name, node.arguments, scope));
  return node.function(runtime_, input, arguments);
}

Result<Arguments> Interpreter::evaluate_arguments(std::string_view callee,
                                                  const ArgumentExprs& exprs, const Scope& scope) {
  Arguments out;
  out.callee = callee;
  for (const ExprPtr& expr : exprs.positional) {
    TRY(Value value, evaluate(*expr, scope));
    out.positional.push_back(std::move(value));
  }
  for (const auto& [name, expr] : exprs.named) {
    TRY(Value value, evaluate(*expr, scope));
    out.named.emplace_back(name, std::move(value));
  }
  return out;
}

Result<Value> Interpreter::eval_node(const CallExpr& node, const Scope& scope) {
  const int line = line_;
  TRY(const Value callee, evaluate(*node.callee, scope));
  TRY(require_defined(callee));
  const FunctionPtr* function = callee.get<FunctionPtr>();
  if (!function) {
    return fail(Code::kInvalidArgument, "{} cannot be called", callee.kind());
  }
  TRY(const Arguments arguments, evaluate_arguments((*function)->name, node.arguments, scope));
  line_ = line;
  if ((*function)->macro) return call_macro(*(*function)->macro, arguments);
  return (*function)->builtin(runtime_, (*function)->self, arguments);
}

Result<void> Interpreter::bind_parameters(const Macro& macro, const Arguments& arguments,
                                          Scope& scope) {
  if (arguments.positional.size() > macro.parameters.size()) {
    return fail(Code::kInvalidArgument, "macro {} takes at most {} arguments, got {}", macro.name,
                macro.parameters.size(), arguments.positional.size());
  }
  for (const auto& argument : arguments.named) {
    const auto found = std::find_if(macro.parameters.begin(), macro.parameters.end(),
                                    [&](const auto& p) { return p.first == argument.first; });
    if (found == macro.parameters.end()) {
      return fail(Code::kInvalidArgument, "macro {} has no argument \"{}\"", macro.name,
                  argument.first);
    }
    if (static_cast<size_t>(found - macro.parameters.begin()) < arguments.positional.size()) {
      return fail(Code::kInvalidArgument, "macro {} got its argument \"{}\" twice", macro.name,
                  argument.first);
    }
    scope.set(found->first, argument.second);
  }
  for (size_t i = 0; i < macro.parameters.size(); ++i) {
    const std::string& name = macro.parameters[i].first;
    const ExprPtr& otherwise = macro.parameters[i].second;
    const bool is_named = std::any_of(arguments.named.begin(), arguments.named.end(),
                                      [&](const auto& argument) { return argument.first == name; });
    if (is_named) continue;
    if (i < arguments.positional.size()) {
      scope.set(name, arguments.positional[i]);
    } else if (otherwise) {
      TRY(Value value, evaluate(*otherwise, scope));
      scope.set(name, std::move(value));
    } else {
      scope.set(name, Value::undefined(fmt::format("parameter \"{}\" was not provided", name)));
    }
  }
  return {};
}

Result<Value> Interpreter::call_macro(const Macro& macro, const Arguments& arguments) {
  // A macro sees the template's own variables and not its caller's.
  Scope scope(globals_);
  TRY(bind_parameters(macro, arguments, scope));
  TextBuilder out(runtime_.budget);
  TextBuilder* const outer = std::exchange(out_, &out);
  auto flow = run_body(macro.body, scope);
  out_ = outer;
  if (!flow) return tl::unexpected<Error>(std::move(flow).error());
  return text_value(out.finish());
}

Result<Value> Interpreter::eval_node(const ListExpr& node, const Scope& scope) {
  std::vector<Value> items;
  items.reserve(node.items.size());
  for (const ExprPtr& expr : node.items) {
    TRY(Value item, evaluate(*expr, scope));
    items.push_back(std::move(item));
  }
  return list_value(runtime_.budget, std::move(items), node.kind);
}

Result<Value> Interpreter::eval_node(const DictExpr& node, const Scope& scope) {
  Dict dict;
  for (const auto& [key_expr, value_expr] : node.entries) {
    TRY(Value key, evaluate(*key_expr, scope));
    TRY(Value value, evaluate(*value_expr, scope));
    TRY(insert(runtime_.budget, dict, std::move(key), std::move(value)));
  }
  return dict_value(runtime_.budget, std::move(dict));
}

}  // namespace hachi::chat::jinja
