// The syntax tree of a template. Expressions and statements are sums of small structs; each node
// knows the line that it came from.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "chat/jinja/value.h"

namespace hachi::chat::jinja {

struct Expr;
using ExprPtr = std::unique_ptr<const Expr>;

struct ArgumentExprs {
  std::vector<ExprPtr> positional;
  std::vector<std::pair<std::string, ExprPtr>> named;
};

struct LiteralExpr {
  Value value;
};
struct NameExpr {
  std::string name;
};
// What the block around has just produced: the input of the filters of "set x | f" and "filter f".
struct BodyExpr {};
struct AttributeExpr {  // object.name
  ExprPtr object;
  std::string name;
};
struct SubscriptExpr {  // object[index]
  ExprPtr object;
  ExprPtr index;
};
struct SliceExpr {  // object[start:stop:step]; what is left out is null
  ExprPtr object;
  ExprPtr start;
  ExprPtr stop;
  ExprPtr step;
};
enum class UnaryOp { kNot, kMinus, kPlus };
struct UnaryExpr {
  UnaryOp op;
  ExprPtr operand;
};
enum class BinaryOp { kAdd, kSubtract, kMultiply, kDivide, kFloorDivide, kModulo, kPower };
struct BinaryExpr {
  BinaryOp op;
  ExprPtr left;
  ExprPtr right;
};
struct LogicalExpr {  // and, or
  bool is_and;
  ExprPtr left;
  ExprPtr right;
};
struct ConcatExpr {  // a ~ b ~ c
  std::vector<ExprPtr> parts;
};
enum class CompareOp { kEqual, kNotEqual, kLess, kLessEqual, kGreater, kGreaterEqual, kIn, kNotIn };
struct CompareExpr {  // a < b <= c means a < b and b <= c
  ExprPtr first;
  std::vector<std::pair<CompareOp, ExprPtr>> rest;
};
struct ConditionalExpr {  // value if condition else otherwise; otherwise may be null
  ExprPtr condition;
  ExprPtr value;
  ExprPtr otherwise;
};
struct FilterExpr {  // input | name(arguments)
  ExprPtr input;
  std::string name;
  Builtin function;
  ArgumentExprs arguments;
};
struct TestExpr {  // input is name(arguments)
  ExprPtr input;
  std::string name;
  Builtin function;
  ArgumentExprs arguments;
};
struct CallExpr {
  ExprPtr callee;
  ArgumentExprs arguments;
};
struct ListExpr {
  ListKind kind;
  std::vector<ExprPtr> items;
};
struct DictExpr {
  std::vector<std::pair<ExprPtr, ExprPtr>> entries;
};

struct Expr {
  int line;
  int depth;  // expressions inside one another, this one included
  std::variant<LiteralExpr, NameExpr, BodyExpr, AttributeExpr, SubscriptExpr, SliceExpr, UnaryExpr,
               BinaryExpr, LogicalExpr, ConcatExpr, CompareExpr, ConditionalExpr, FilterExpr,
               TestExpr, CallExpr, ListExpr, DictExpr>
      node;
};

// Of an expression, 0 if it is left out.
inline int depth(const ExprPtr& expr) { return expr ? expr->depth : 0; }
int depth(const std::vector<ExprPtr>& exprs);
int depth(const ArgumentExprs& arguments);

struct Statement;
using Body = std::vector<std::unique_ptr<const Statement>>;

// What is assigned to: "name", "object.attribute" (a namespace's), or several names of a tuple.
struct Target {
  std::vector<std::string> names;
  std::string attribute;  // empty if none
  bool unpacks = false;
};

struct TextStatement {
  TextPtr text;
};
struct PrintStatement {
  ExprPtr value;
};
struct IfStatement {
  std::vector<std::pair<ExprPtr, Body>> branches;
  Body otherwise;
};
struct ForStatement {
  Target target;
  ExprPtr iterable;
  ExprPtr filter;  // may be null
  Body body;
  Body otherwise;
};
struct SetStatement {
  Target target;
  ExprPtr value;
};
struct SetBlockStatement {
  Target target;
  ExprPtr value;  // BodyExpr, with filters around it if there are any
  Body body;
};
struct FilterBlockStatement {
  ExprPtr value;
  Body body;
};
struct WithStatement {
  std::vector<std::pair<Target, ExprPtr>> assignments;
  Body body;
};
struct Macro {
  std::string name;
  std::vector<std::pair<std::string, ExprPtr>> parameters;  // a default may be null
  Body body;
};
struct BreakStatement {};
struct ContinueStatement {};

struct Statement {
  int line;
  std::variant<TextStatement, PrintStatement, IfStatement, ForStatement, SetStatement,
               SetBlockStatement, FilterBlockStatement, WithStatement, Macro, BreakStatement,
               ContinueStatement>
      node;
};

}  // namespace hachi::chat::jinja
