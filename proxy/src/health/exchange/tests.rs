use super::super::probe;
use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// An endpoint that keeps its connections; it tells of each request with the number of its connection.
async fn endpoint() -> (SocketAddr, mpsc::UnboundedReceiver<u32>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (told, asked) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        for number in 0.. {
            let (mut stream, _) = listener.accept().await.unwrap();
            let told = told.clone();
            tokio::spawn(async move {
                let mut request = Vec::new();
                while stream.read_buf(&mut request).await.unwrap_or(0) > 0 {
                    if request.ends_with(b"\r\n\r\n") {
                        request.clear();
                        told.send(number).unwrap();
                        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
                        stream.write_all(answer).await.unwrap();
                    }
                }
            });
        }
    });
    (address, asked)
}

#[tokio::test]
async fn a_connection_is_kept_for_as_long_as_its_address_is_the_endpoints() {
    let (one, mut asked_one) = endpoint().await;
    let (two, mut asked_two) = endpoint().await;
    let source = outrigger_config::Source {
        name: "clusters.yaml".into(),
        text: "clusters: [{ name: upstream, health_check: { http: { path: / } } }]\n".into(),
    };
    let environment = outrigger_config::Environment::empty();
    let config = outrigger_config::load(&source, &environment).unwrap().config;
    let cluster = config.clusters().iter().next().unwrap();
    let check = cluster.health_check().as_ref().unwrap();
    let target = Target::new(cluster, check, None, None);
    let mut kept = None;
    for (addresses, first, second) in [
        (vec![one], Some(0), None),
        (vec![one, two], Some(0), None),
        (vec![two, one], Some(0), None),
        (vec![two], None, Some(0)),
        (vec![two], None, Some(0)),
        (vec![one], Some(1), None),
    ] {
        let finding = probe::probe(&target, &addresses, &mut kept).await;
        assert_eq!(finding, Finding::Passed, "{addresses:?}");
        assert_eq!(asked_one.try_recv().ok(), first, "{addresses:?}");
        assert_eq!(asked_two.try_recv().ok(), second, "{addresses:?}");
    }
}
