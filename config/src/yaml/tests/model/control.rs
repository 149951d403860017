//! The control plane.

use crate::model::{ControlTransport, Roots, defaults};
use crate::yaml::tests::read;

#[test]
fn a_control_plane_has_servers_a_node_and_defaults() {
    let text = "control: {servers: ['http://127.0.0.1:15010'], node: a}\n";
    let config = read(text).unwrap().config;
    let control = config.control().as_ref().unwrap();
    assert_eq!(control.servers()[0].url(), "http://127.0.0.1:15010");
    assert_eq!(control.tls(&control.servers()[0]), None);
    assert_eq!(control.transport(), defaults::CONTROL_TRANSPORT);
    assert_eq!(control.first_wait(), defaults::CONTROL_FIRST_WAIT);
    assert_eq!(control.return_interval(), defaults::CONTROL_RETURN_INTERVAL);
    assert_eq!((control.service(), control.last_good()), (&None, &None));
}

#[test]
fn everything_is_written_out_and_read_again() {
    let text = "\
identities: [{name: own, files: {certificate_file: c, private_key_file: k}}]
control:
  servers: ['https://[::1]:1', 'https://b.example:2']
  node: a
  service: shop/catalog
  metadata: {zone: a}
  ca_file: ca.pem
  server_name: control
  identity: own
  token_file: token
  transport: state_of_the_world
  last_good: state
  first_wait: 3s
  return_interval: 5s
";
    let config = read(text).unwrap().config;
    let control = config.control().as_ref().unwrap();
    assert_eq!(control.servers()[0].url(), "https://[::1]:1");
    let tls = control.tls(&control.servers()[1]).unwrap();
    assert_eq!(tls.server_name().as_deref(), Some("control"));
    assert!(matches!(tls.validation().roots(), Roots::File(_)));
    assert_eq!(control.transport(), ControlTransport::StateOfTheWorld);
    let written = crate::to_yaml(&config);
    assert_eq!(
        read(&written).unwrap().config.control(),
        config.control(),
        "{written}"
    );
}
