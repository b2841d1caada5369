/*
 * io/addr.h - socket addresses: IPv4, IPv6, Unix paths; text to address and back, networks.
 *
 * Values without pointers; pure, no DNS.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/slice.h"

struct addr { /* fields are private */
    socklen_t len;
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_storage storage;
        struct sockaddr_un path;
    } u;
};

#define ADDR_TEXT_MAX 128

/*
 * "127.0.0.1:2525", "[::1]:25", "127.0.0.1" (port `default_port`), "::1", "unix:/path". 0, or
 * -EINVAL: not an address; `*why`, when not NULL, gets a sentence that says what is wrong and what
 * is allowed. Ports are 0 to 65535.
 */
MUST_CHECK int addr_parse(struct slice text, uint16_t default_port, struct addr *ret,
                          struct buf *why);
/* From 4 or 16 raw bytes in network order. -EINVAL for any other length. */
MUST_CHECK int addr_from_ip(struct slice raw_ip, uint16_t port, struct addr *ret);
/* "127.0.0.1:2525", "[::1]:25", "unix:/path". NUL-ended, always fits. */
void addr_format(const struct addr *a, char ret_text[static ADDR_TEXT_MAX]);
/* The address alone, without port ("127.0.0.1", "::1", "unix:/path"). */
void addr_format_ip(const struct addr *a, char ret_text[static ADDR_TEXT_MAX]);
uint16_t addr_port(const struct addr *a); /* 0 for a Unix path */
bool addr_is_ipv6(const struct addr *a);
bool addr_is_loopback(const struct addr *a); /* a Unix path is too */
/* Clears what is behind the first `bits` (up to 128) of an IPv6 address: who has one of a network has
 * all of it. An IPv4 address, mapped or not, and a Unix path stay. */
void addr_mask_ipv6(struct addr *a, unsigned bits);
bool addr_eq(const struct addr *a, const struct addr *b);

/* An IP network, "10.0.0.0/8", "::1/128", "192.0.2.7". An IPv4-mapped IPv6 address counts as its
 * IPv4 address, and an IPv6 network, "::/0" included, contains no IPv4 address. */
struct network {         /* fields are private */
    uint8_t ip[16];      /* IPv4 as an IPv4-mapped address */
    uint8_t prefix_bits; /* of 128 */
};
/* 0, or -EINVAL: not a network, or bits are set behind the prefix; `*why` as in addr_parse(). */
MUST_CHECK int network_parse(struct slice text, struct network *ret, struct buf *why);
/* A Unix path is in no network. */
bool network_contains(const struct network *n, const struct addr *a);
