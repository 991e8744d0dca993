mod counting;
mod odd_bytes;
mod page;
mod stack;
mod streams;
mod updates;
