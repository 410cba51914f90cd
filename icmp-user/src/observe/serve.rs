//! Metrics by HTTP: enough for a scraper, and bounded in every direction, so that none that is
//! slow, dead or hostile takes anything from the daemon but a connection for some seconds.

use super::{Snapshot, metrics};
use crate::datapath::PinDir;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{ALLOW, CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::TcpListener,
    sync::{Mutex, Semaphore},
    task::spawn_blocking,
    time::{sleep, timeout},
};

/// How many connections there are at once. Others wait in the kernel's queue.
const CONNECTIONS: usize = 32;
/// How long a request's head may take to arrive.
const HEAD: Duration = Duration::from_secs(5);
/// How long a connection may live: request, reading of the maps, and answer.
const WHOLE: Duration = Duration::from_secs(15);

const INDEX: &str = "icmpgate: metrics for Prometheus are at /metrics\n";

/// What may be asked for, and is the same for every connection.
struct Source {
    pins: PinDir,
    /// One reading at a time: more would only be slower each.
    reading: Mutex<()>,
}

/// Serves the metrics of an instance until the task is dropped.
pub async fn serve(listener: TcpListener, pins: PinDir) {
    let source = Arc::new(Source { pins, reading: Mutex::new(()) });
    let connections = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        // The semaphore is never closed.
        let Ok(permit) = Arc::clone(&connections).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(_) => {
                // Out of descriptors, or the peer gone already: neither is helped by haste.
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let source = Arc::clone(&source);
        tokio::spawn(async move {
            let answer = service_fn(|request| {
                let source = Arc::clone(&source);
                async move { Ok::<_, Infallible>(source.answer(&request).await) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD)
                .max_buf_size(16 << 10)
                // A connection that is kept is one that others can't have.
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), answer);
            // However it ends, it ends here; the scraper knows why.
            let _ = timeout(WHOLE, connection).await;
            drop(permit);
        });
    }
}

/// The address under which the metrics are.
#[must_use]
pub fn url(address: SocketAddr) -> String {
    format!("http://{address}/metrics")
}

impl Source {
    async fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        match (request.method(), request.uri().path()) {
            (&Method::GET | &Method::HEAD, "/metrics") => self.metrics().await,
            (&Method::GET | &Method::HEAD, "/") => text(StatusCode::OK, INDEX),
            (_, "/" | "/metrics") => {
                let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
                response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
                response
            }
            _ => text(StatusCode::NOT_FOUND, "not here; metrics are at /metrics\n"),
        }
    }

    async fn metrics(&self) -> Response<Full<Bytes>> {
        let _turn = self.reading.lock().await;
        let pins = self.pins.clone();
        // Thousands of system calls: not on the thread that accepts.
        let read = spawn_blocking(move || {
            let snapshot = Snapshot::read(&pins).map_err(|e| e.to_string())?;
            metrics::render(&snapshot).map_err(|e| e.to_string())
        });
        match read.await {
            Ok(Ok(body)) => {
                let mut response = text(StatusCode::OK, body);
                let media_type = HeaderValue::from_static(metrics::MEDIA_TYPE);
                response.headers_mut().insert(CONTENT_TYPE, media_type);
                response
            }
            Ok(Err(error)) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")),
            Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "reading the maps failed\n"),
        }
    }
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpStream,
    };

    /// Asks a server whose instance doesn't exist, and returns the whole answer.
    async fn ask(request: &str) -> String {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(serve(listener, PinDir::new("/proc/no-instance")));
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        server.abort();
        answer
    }

    #[tokio::test]
    async fn the_index_points_to_the_metrics() {
        let answer = ask("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.ends_with(INDEX), "{answer}");
        assert!(answer.contains("connection: close\r\n"), "{answer}");
    }

    #[tokio::test]
    async fn what_is_not_here_is_404_and_other_methods_are_405() {
        let answer = ask("GET /metrics/../etc HTTP/1.1\r\nhost: x\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
        let answer = ask("POST /metrics HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
        assert!(answer.contains("allow: GET, HEAD\r\n"), "{answer}");
    }

    #[tokio::test]
    async fn without_an_instance_the_answer_says_so_and_is_no_success() {
        let answer = ask("GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        assert!(answer.contains("/proc/no-instance"), "{answer}");
    }

    #[tokio::test]
    async fn connections_that_say_nothing_do_not_keep_a_scraper_waiting() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(serve(listener, PinDir::new("/proc/no-instance")));
        let mut silent = Vec::new();
        for _ in 0..CONNECTIONS - 1 {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        let read = timeout(HEAD, stream.read_to_string(&mut answer)).await;
        assert!(read.is_ok() && answer.ends_with(INDEX), "{answer}");
        server.abort();
    }
}
