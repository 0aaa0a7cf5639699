// GET / and the files of the chat page.
#include <string>
#include <utility>

#include "server/page.h"
#include "server/routes.h"

namespace hachi::server {

net::awaitable<void> answer_page(Visit& visit, std::string) {
  const net::HttpRequest& request = visit.exchange().request();
  const Asset& asset = *find_asset(request.path);
  net::HttpResponse response;
  response.headers.add("Content-Type", std::string(asset.content_type));
  response.headers.add("Content-Security-Policy", std::string(kContentSecurityPolicy));
  response.headers.add("Referrer-Policy", "no-referrer");
  // Browsers ask each time and mostly hear that nothing has changed: a new program, a new page.
  response.headers.add("Cache-Control", "no-cache");
  response.headers.add("ETag", std::string(asset.etag));
  if (request.headers.find("if-none-match") == asset.etag) {
    response.status = 304;
  } else {
    if (asset.gzip) response.headers.add("Content-Encoding", "gzip");
    response.body = std::string(asset.bytes);
  }
  co_await visit.send_response(std::move(response));
}

}  // namespace hachi::server
