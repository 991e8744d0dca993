//! Any bytes as an export of logs, in protobuf and in JSON.

#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| gatelens_ingest::fuzzing::logs(body));
