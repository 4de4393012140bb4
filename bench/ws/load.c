// A WebSocket load generator: one thread, epoll, loopback only. Built by `python -m bench.ws`.
//
// Opens --n connections and a control connection, through which the server is told to broadcast or to send to some.
// Phases, in the order of --phases: warm, sat1 (one broadcast in flight), satW (--w in flight), paced (--rate a
// second), target (messages to single clients), echo (messages of clients and their answers), idle. Prints one JSON
// object. The server's processor time is read from /proc/PID/task/*/schedstat for the ids in --pids. Every loop is
// bounded in count and time.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

enum { S_HS, S_HELLO, S_SIO0, S_SIO40, S_READY, S_DEAD };
enum { P_NONE, P_BCAST, P_TARGET, P_ECHO };
typedef struct Conn {
  int fd, id;
  uint8_t st, hn, op, rsv1, fin, capn, sample, neg, nct;
  uint8_t hb[10];
  uint8_t inpay;
  uint8_t cap[128];
  uint64_t rem, plen, nb;
  uint8_t *sbuf;
  size_t slen, scap;
  z_stream *zs;
  char *hs;
  int hsn;
  uint64_t t0;
  int inflight;
} Conn;

static int N = 100, port = 8100, deflate_on = 0, sio = 0, W = 16, rate = 20, nsample = 8, E = 64, D = 4;
static double secs = 2.0, pacedsecs = 4.0;
static const char *path = "/ws";
static const char *control = NULL, *header = "", *hello = NULL, *ready = NULL, *say = NULL;
static const char *phases = "warm,sat1,satW,paced,target,echo";
static int pids[16], npids;
static Conn *C;
static int ep;
static int phase;
static double deadline_s = 30;
static uint64_t errs, closed, verified, verify_bad, negotiated, nct_count, frames_total, bytes_total, skipped_extra;
#define RING 8192
static int32_t remaining[RING];
static uint64_t tsend[RING];
static uint64_t pub_seq, base_seq, done_b;
static uint32_t *lat;
static size_t nlat, caplat;
static int reclat;
static uint64_t got;
static long inflight;
static int nready, nwaiting; // ready; and let in, with our hello still to be said
static uint64_t tlast;
static uint32_t *lastlat;
static size_t nlast;
static uint32_t rng = 12345;
static uint32_t rnd(void) {
  rng ^= rng << 13;
  rng ^= rng >> 17;
  rng ^= rng << 5;
  return rng;
}
static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000ull + t.tv_nsec;
}
static void die(const char *m) {
  fprintf(stderr, "wsload: %s: %s\n", m, strerror(errno));
  exit(2);
}

static double srv_cpu(void) {
  double s = 0;
  for (int i = 0; i < npids; i++) {
    char p[64], b[1024];
    snprintf(p, 64, "/proc/%d/stat", pids[i]);
    FILE *f = fopen(p, "r");
    if (!f) continue;
    if (fgets(b, sizeof b, f)) {
      char *q = strrchr(b, ')');
      unsigned long u, k;
      if (q && sscanf(q + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &u, &k) == 2)
        s += (double)(u + k) / sysconf(_SC_CLK_TCK);
    }
    fclose(f);
  }
  return s;
}
static double srv_cpu_ns(void) {
  double s = 0;
  for (int i = 0; i < npids; i++) {
    char p[64];
    snprintf(p, 64, "/proc/%d/task", pids[i]);
    DIR *d = opendir(p);
    if (!d) return srv_cpu();
    struct dirent *e;
    while ((e = readdir(d))) {
      if (e->d_name[0] == '.') continue;
      char q[512];
      snprintf(q, sizeof q, "%s/%s/schedstat", p, e->d_name);
      FILE *f = fopen(q, "r");
      if (!f) continue;
      unsigned long long r;
      if (fscanf(f, "%llu", &r) == 1) s += r / 1e9;
      fclose(f);
    }
    closedir(d);
  }
  return s;
}
static double self_cpu(void) {
  struct rusage r;
  getrusage(RUSAGE_SELF, &r);
  return r.ru_utime.tv_sec + r.ru_utime.tv_usec / 1e6 + r.ru_stime.tv_sec + r.ru_stime.tv_usec / 1e6;
}
static long srv_rss_kb(void) {
  long s = 0;
  for (int i = 0; i < npids; i++) {
    char p[64], b[256];
    snprintf(p, 64, "/proc/%d/status", pids[i]);
    FILE *f = fopen(p, "r");
    if (!f) continue;
    while (fgets(b, sizeof b, f)) {
      long v;
      if (sscanf(b, "VmRSS: %ld", &v) == 1) s += v;
    }
    fclose(f);
  }
  return s;
}

static void wr(Conn *c, const void *b, size_t n) {
  const char *p = b;
  while (n) {
    ssize_t k = send(c->fd, p, n, MSG_NOSIGNAL);
    if (k > 0) {
      p += k;
      n -= k;
      continue;
    }
    if (k < 0 && (errno == EAGAIN || errno == EINTR)) {
      struct pollfd f = {c->fd, POLLOUT, 0};
      if (poll(&f, 1, 5000) <= 0) {
        errs++;
        return;
      }
      continue;
    }
    errs++;
    return;
  }
}
static size_t mkframe(uint8_t *o, int op, const void *pl, size_t n) {
  size_t h = 2;
  o[0] = 0x80 | op;
  if (n < 126)
    o[1] = 0x80 | n;
  else {
    o[1] = 0x80 | 126;
    o[2] = n >> 8;
    o[3] = n;
    h = 4;
  }
  uint32_t r = rnd();
  memcpy(o + h, &r, 4);
  const uint8_t *k = o + h, *p = pl;
  uint8_t *d = o + h + 4;
  for (size_t i = 0; i < n; i++) d[i] = p[i] ^ k[i & 3];
  return h + 4 + n;
}
static void wsend(Conn *c, int op, const void *pl, size_t n) {
  static uint8_t b[70000];
  wr(c, b, mkframe(b, op, pl, n));
}

static uint64_t pub_one(void) {
  char b[128];
  int n = sio ? snprintf(b, 128, "42[\"pub\",{\"seq\":%llu}]", (unsigned long long)pub_seq)
              : snprintf(b, 128, "{\"op\":\"pub\",\"seq\":%llu}", (unsigned long long)pub_seq);
  remaining[pub_seq % RING] = N;
  tsend[pub_seq % RING] = now_ns();
  pub_seq++;
  wsend(&C[N], 1, b, n);
  return pub_seq - 1;
}
static void target_batch(void) {
  char b[1024];
  int n = sio ? sprintf(b, "42[\"to\",{\"ids\":[") : sprintf(b, "{\"op\":\"to\",\"ids\":[");
  for (int i = 0; i < 32; i++) n += sprintf(b + n, i ? ",%u" : "%u", rnd() % N);
  n += sprintf(b + n, sio ? "]}]" : "]}");
  wsend(&C[N], 1, b, n);
  inflight += 32;
}
static int echo_payload(char *b, uint32_t id) {
  if (say) {
    const char *at = strstr(say, "%u");
    return at ? sprintf(b, "%.*s%u%s", (int)(at - say), say, id, at + 2) : sprintf(b, "%s", say);
  }
  return sprintf(
      b,
      sio ? "42[\"msg\",{\"op\":\"msg\",\"id\":%u,\"to\":\"4915112345678\",\"kind\":\"text\",\"body\":\"Hello, your "
            "appointment is confirmed for Tuesday at 14:30. Reply 1 to confirm, 2 to cancel or 3 to talk to an "
            "agent.\"}]"
          : "{\"op\":\"msg\",\"id\":%u,\"to\":\"4915112345678\",\"kind\":\"text\",\"body\":\"Hello, your appointment "
            "is confirmed for Tuesday at 14:30. Reply 1 to confirm, 2 to cancel or 3 to talk to an agent.\"}",
      id);
}
static int cdeflate;
static uint8_t cpool[64][400];
static int cplen[64]; // --cdeflate 1: client messages compressed, as browsers do
static void mkpool(void) {
  for (int i = 0; i < 64; i++) {
    char b[512];
    int m = echo_payload(b, 1000 + i * 37);
    z_stream z = {0};
    deflateInit2(&z, 6, Z_DEFLATED, -15, 8, 0);
    z.next_in = (uint8_t *)b;
    z.avail_in = m;
    z.next_out = cpool[i];
    z.avail_out = 400;
    deflate(&z, Z_SYNC_FLUSH);
    cplen[i] = 400 - z.avail_out - 4;
    deflateEnd(&z);
  }
}
static void echo_send(Conn *c, int k) {
  static uint8_t o[65536];
  size_t n = 0;
  for (int i = 0; i < k; i++) {
    char b[512];
    if (cdeflate && c->neg) {
      int q = rnd() & 63;
      n += mkframe(o + n, 0x41, cpool[q], cplen[q]);
    } else {
      int m = echo_payload(b, (uint32_t)(c->id * 1000 + i));
      n += mkframe(o + n, 1, b, m);
    }
  }
  wr(c, o, n);
  c->inflight += k;
}

static void verify(Conn *c, uint64_t idx) {
  static uint8_t out[1 << 20];
  uint8_t *p = c->sbuf;
  size_t n = c->slen;
  if (c->rsv1) {
    if (!c->zs) {
      c->zs = calloc(1, sizeof(z_stream));
      if (inflateInit2(c->zs, -15) != Z_OK) die("inflateInit2");
    }
    if (c->nct) inflateReset(c->zs);
    if (c->scap < n + 4) {
      c->scap = n + 4;
      c->sbuf = realloc(c->sbuf, c->scap);
      p = c->sbuf;
    }
    memcpy(p + n, "\x00\x00\xff\xff", 4);
    c->zs->next_in = p;
    c->zs->avail_in = n + 4;
    c->zs->next_out = out;
    c->zs->avail_out = sizeof out;
    int r = inflate(c->zs, Z_SYNC_FLUSH);
    if (r < 0 && r != Z_BUF_ERROR) {
      verify_bad++;
      return;
    }
    p = out;
    n = sizeof out - c->zs->avail_out;
  }
  if (phase != P_BCAST) return;
  // find "seq":<idx>
  char want[48];
  int k = sprintf(want, "\"seq\":%llu,", (unsigned long long)idx);
  if (n > 900 && memmem(p, n < 200 ? n : 200, want, k) && memmem(p + n - 64, 64, "\"end\":1}", 8))
    verified++;
  else {
    verify_bad++;
    if (verify_bad < 3) fprintf(stderr, "verify bad want %s got %.*s (n=%zu)\n", want, (int)(n < 80 ? n : 80), p, n);
  }
}
static void on_data(Conn *c) {
  frames_total++;
  if (sio && c->rsv1 && c->st != S_READY) { // compressed engine.io handshake packets
    static uint8_t o[4096];
    if (!c->zs) {
      c->zs = calloc(1, sizeof(z_stream));
      if (inflateInit2(c->zs, -15) != Z_OK) die("inflateInit2");
    }
    memcpy(c->sbuf + c->slen, "\x00\x00\xff\xff", 4);
    c->zs->next_in = c->sbuf;
    c->zs->avail_in = c->slen + 4;
    c->zs->next_out = o;
    c->zs->avail_out = sizeof o;
    inflate(c->zs, Z_SYNC_FLUSH);
    memcpy(c->cap, o, 16);
    if (c->st == S_SIO0 && c->cap[0] == '0') {
      wsend(c, 1, "40", 2);
      c->st = S_SIO40;
    } else if (c->st == S_SIO40 && c->cap[0] == '4' && c->cap[1] == '0') {
      c->st = S_READY;
      nready++;
      if (!c->sample) {
        inflateEnd(c->zs);
        free(c->zs);
        c->zs = NULL;
      }
    }
    return;
  }
  if (sio && !c->rsv1) { // engine.io packets
    if (c->st == S_SIO0 && c->cap[0] == '0') {
      wsend(c, 1, "40", 2);
      c->st = S_SIO40;
      return;
    }
    if (c->st == S_SIO40 && c->cap[0] == '4' && c->cap[1] == '0') {
      c->st = S_READY;
      nready++;
      return;
    }
    if (c->cap[0] == '2') {
      wsend(c, 1, "3", 1);
      return;
    }
    if (c->cap[0] != '4' || c->cap[1] != '2') return;
  }
  if (c->st == S_HELLO) { // what the server says before it has heard our hello is not counted
    if (!c->rsv1 && memmem(c->sbuf, c->slen, ready, strlen(ready))) {
      c->st = S_READY;
      nready++;
      if (!c->sample) {
        free(c->sbuf);
        c->sbuf = NULL;
        c->scap = 0;
      }
    }
    return;
  }
  if (c->st != S_READY) return;
  if (phase == P_BCAST && c->id < N) {
    uint64_t idx = base_seq + c->nb++;
    if (idx >= pub_seq) {
      skipped_extra++;
      return;
    }
    if (c->sample) verify(c, idx);
    int32_t r = --remaining[idx % RING];
    if (reclat) {
      uint64_t t = now_ns();
      uint32_t us = (t - tsend[idx % RING]) / 1000;
      if (nlat < caplat) lat[nlat++] = us;
      if (r == 0 && nlast < 100000) lastlat[nlast++] = us;
    }
    if (r == 0) {
      done_b++;
      tlast = now_ns();
    }
  } else if (phase == P_TARGET && c->id < N) {
    if (c->sample) verify(c, 0);
    got++;
    inflight--;
  } else if (phase == P_ECHO) {
    if (c->sample) verify(c, 0);
    got++;
    c->inflight--;
  }
}
static void on_frame(Conn *c) {
  if (c->op == 0x9) {
    wsend(c, 0xA, c->cap, c->capn);
    return;
  }
  if (c->op == 0x8) {
    if (c->st != S_DEAD) {
      closed++;
      c->st = S_DEAD;
    }
    return;
  }
  if (c->op == 0xA) return;
  if (c->op == 0 || !c->fin) {
    errs++;
    return;
  }
  on_data(c);
}
static void parse(Conn *c, uint8_t *p, size_t n) {
  while (n) {
    if (!c->inpay) {
      size_t need = 2;
      if (c->hn >= 2) {
        int l = c->hb[1] & 127;
        need = l == 126 ? 4 : l == 127 ? 10 : 2;
      }
      while (n && c->hn < need) {
        c->hb[c->hn++] = *p++;
        n--;
        if (c->hn == 2) {
          int l = c->hb[1] & 127;
          need = l == 126 ? 4 : l == 127 ? 10 : 2;
        }
      }
      if (c->hn < need) return;
      int l = c->hb[1] & 127;
      uint64_t L = l;
      if (l == 126)
        L = c->hb[2] << 8 | c->hb[3];
      else if (l == 127) {
        L = 0;
        for (int i = 2; i < 10; i++) L = L << 8 | c->hb[i];
      }
      c->op = c->hb[0] & 15;
      c->rsv1 = c->hb[0] >> 6 & 1;
      c->fin = c->hb[0] >> 7;
      c->plen = c->rem = L;
      c->capn = 0;
      c->slen = 0;
      c->hn = 0;
      c->inpay = 1;
      if (!L) {
        c->inpay = 0;
        on_frame(c);
        continue;
      }
      if (!n) return;
    }
    size_t k = n < c->rem ? n : c->rem;
    if (c->capn < 125 && c->capn < c->plen) {
      size_t w = 125 - c->capn;
      if (!(c->op & 8) && w > 4) w = c->capn < 4 ? 4 - c->capn : 0;
      if (w > k) w = k;
      memcpy(c->cap + c->capn, p, w);
      c->capn += w;
    }
    if ((c->sample || c->st == S_HELLO || (sio && c->st != S_READY)) && !(c->op & 8)) {
      if (c->scap < c->slen + k + 8) {
        c->scap = (c->slen + k) * 2 + 64;
        c->sbuf = realloc(c->sbuf, c->scap);
      }
      memcpy(c->sbuf + c->slen, p, k);
      c->slen += k;
    }
    p += k;
    n -= k;
    c->rem -= k;
    if (!c->rem) {
      c->inpay = 0;
      on_frame(c);
    }
  }
}
static uint8_t rb[1 << 18];
static void on_read(Conn *c) {
  ssize_t k = recv(c->fd, rb, sizeof rb, 0);
  if (k <= 0) {
    if (k < 0 && (errno == EAGAIN || errno == EINTR)) return;
    epoll_ctl(ep, EPOLL_CTL_DEL, c->fd, NULL);
    if (c->st != S_DEAD) {
      closed++;
      c->st = S_DEAD;
    }
    return;
  }
  bytes_total += k;
  uint8_t *p = rb;
  size_t n = k;
  if (c->st == S_HS) {
    if (!c->hs) c->hs = malloc(4096);
    size_t m = n;
    if (c->hsn + m > 4095) m = 4095 - c->hsn;
    memcpy(c->hs + c->hsn, p, m);
    int before = c->hsn;
    c->hsn += m;
    c->hs[c->hsn] = 0;
    char *e = strstr(c->hs, "\r\n\r\n");
    if (!e) return;
    if (strncmp(c->hs, "HTTP/1.1 101", 12)) {
      errs++;
      c->st = S_DEAD;
      if (errs < 3) fprintf(stderr, "handshake: %.200s\n", c->hs);
      return;
    }
    char *x = strcasestr(c->hs, "permessage-deflate");
    if (x && x < e) {
      c->neg = 1;
      negotiated++;
      if (strcasestr(x, "server_no_context_takeover")) {
        c->nct = 1;
        nct_count++;
      }
    }
    size_t used = (e + 4 - c->hs) - before;
    p += used;
    n -= used;
    free(c->hs);
    c->hs = NULL;
    if (sio)
      c->st = S_SIO0;
    else if (hello && c->id < N) {
      c->st = S_HELLO;
      nwaiting++;
    } else {
      c->st = S_READY;
      nready++;
    }
  }
  if (n) parse(c, p, n);
}
static void pump(int ms) {
  static struct epoll_event ev[512];
  int n = epoll_wait(ep, ev, 512, ms);
  for (int i = 0; i < n; i++) on_read(ev[i].data.ptr);
}
static void start_conn(Conn *c) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (c->fd < 0) die("socket");
  int one = 1;
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  struct linger lg = {1, 0};
  setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &lg, sizeof lg);
  for (int t = 0;; t++) {
    if (!connect(c->fd, (void *)&a, sizeof a)) break;
    if (t > 50) die("connect");
    usleep(20000);
  }
  fcntl(c->fd, F_SETFL, O_NONBLOCK);
  c->st = S_HS;
  c->t0 = now_ns();
  const char *where = c->id == N && control ? control : path;
  char b[1024];
  int n = snprintf(b, sizeof b,
                   "GET %s%sid=%s%d HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: "
                   "Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nOrigin: "
                   "http://127.0.0.1\r\nUser-Agent: wsload\r\n%s%s%s\r\n",
                   where, strchr(where, '?') ? "&" : "?", c->id == N ? "ctl" : "", c->id, port,
                   deflate_on ? "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n" : "", header,
                   *header ? "\r\n" : "");
  struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
  if (epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &e)) die("epoll");
  wr(c, b, n);
}
static int cmp32(const void *a, const void *b) {
  uint32_t x = *(uint32_t *)a, y = *(uint32_t *)b;
  return x < y ? -1 : x > y;
}
static double pct(uint32_t *v, size_t n, double q) {
  if (!n) return -1;
  size_t i = q * (n - 1);
  return v[i] / 1000.0;
}

static void bcast_begin(void) {
  base_seq = pub_seq;
  for (int i = 0; i < N; i++) C[i].nb = 0;
  done_b = 0;
  phase = P_BCAST;
}
static int run_sat(int w, double s, double *el, double *cpu, double *gcpu, uint64_t *nb) {
  bcast_begin();
  double c0 = srv_cpu_ns(), g0 = self_cpu();
  uint64_t t0 = now_ns(), tend = t0 + (uint64_t)(s * 1e9), tmax = tend + (uint64_t)(deadline_s * 1e9);
  tlast = t0;
  for (;;) {
    uint64_t t = now_ns();
    if (t < tend)
      while (pub_seq - base_seq - done_b < (uint64_t)w) pub_one();
    else if (done_b == pub_seq - base_seq)
      break;
    if (t > tmax) {
      errs++;
      break;
    }
    pump(50);
    if (closed) break;
  }
  *el = (tlast - t0) / 1e9;
  *cpu = srv_cpu_ns() - c0;
  *gcpu = self_cpu() - g0;
  *nb = done_b;
  phase = P_NONE;
  return done_b == pub_seq - base_seq;
}

int main(int argc, char **argv) {
  for (int i = 1; i + 1 < argc; i += 2) {
    char *k = argv[i], *v = argv[i + 1];
    if (!strcmp(k, "--n"))
      N = atoi(v);
    else if (!strcmp(k, "--port"))
      port = atoi(v);
    else if (!strcmp(k, "--deflate"))
      deflate_on = atoi(v);
    else if (!strcmp(k, "--sio"))
      sio = atoi(v);
    else if (!strcmp(k, "--w"))
      W = atoi(v);
    else if (!strcmp(k, "--rate"))
      rate = atoi(v);
    else if (!strcmp(k, "--secs"))
      secs = atof(v);
    else if (!strcmp(k, "--pacedsecs"))
      pacedsecs = atof(v);
    else if (!strcmp(k, "--path"))
      path = v;
    else if (!strcmp(k, "--first"))
      pub_seq = atoi(v);
    else if (!strcmp(k, "--control"))
      control = v;
    else if (!strcmp(k, "--header"))
      header = v;
    else if (!strcmp(k, "--hello"))
      hello = v;
    else if (!strcmp(k, "--ready"))
      ready = v;
    else if (!strcmp(k, "--say"))
      say = v;
    else if (!strcmp(k, "--phases"))
      phases = v;
    else if (!strcmp(k, "--sample"))
      nsample = atoi(v);
    else if (!strcmp(k, "--echo"))
      E = atoi(v);
    else if (!strcmp(k, "--depth"))
      D = atoi(v);
    else if (!strcmp(k, "--cdeflate")) {
      cdeflate = atoi(v);
    } else if (!strcmp(k, "--deadline"))
      deadline_s = atof(v);
    else if (!strcmp(k, "--pids")) {
      for (char *s = strtok(v, ","); s && npids < 16; s = strtok(NULL, ",")) pids[npids++] = atoi(s);
    } else {
      fprintf(stderr, "unknown %s\n", k);
      return 2;
    }
  }
  struct rlimit rl = {N + 100, N + 100};
  getrlimit(RLIMIT_NOFILE, &rl);
  rl.rlim_cur = rl.rlim_max;
  setrlimit(RLIMIT_NOFILE, &rl);
  if (sio && !strcmp(path, "/ws")) path = "/socket.io/?EIO=4&transport=websocket";
  if (cdeflate) mkpool();
  if (W > RING / 2) W = RING / 2;
  C = calloc(N + 1, sizeof(Conn));
  ep = epoll_create1(0);
  caplat = 12000000;
  lat = malloc(caplat * 4);
  lastlat = malloc(400000);
  for (int i = 0; i <= N; i++) { C[i].id = i; }
  for (int i = 0; i < nsample && i < N; i++) C[(uint64_t)i * N / nsample].sample = 1;
  // with context takeover a sample connection must see every frame, so samples inflate everything.
  // control connection first (it also warms the accept path)
  start_conn(&C[N]);
  uint64_t t0 = now_ns();
  while (nready < 1 && now_ns() - t0 < 5000000000ull) pump(50);
  if (nready < 1) {
    fprintf(stderr, "no control connection\n");
    return 3;
  }
  usleep(200000);
  long rss0 = srv_rss_kb();
  double c0 = srv_cpu_ns();
  int started = 0;
  int r0 = nready;
  t0 = now_ns();
  while (nready + nwaiting - r0 < N && !closed && !errs && now_ns() - t0 < 120000000000ull) {
    while (started < N && started - (nready + nwaiting - r0) < 128) start_conn(&C[started++]);
    pump(50);
  }
  double tc = (now_ns() - t0) / 1e9, cc = srv_cpu_ns() - c0;
  for (int i = 0; i < N; i++) // what follows is not the price of a connection
    if (C[i].st == S_HELLO) {
      wsend(&C[i], 1, hello, strlen(hello));
      if (i % 64 == 0) pump(0);
    }
  while (nready - r0 < N && !closed && !errs && now_ns() - t0 < 120000000000ull) pump(50);
  if (nready - r0 < N) {
    fprintf(stderr, "only %d of %d ready, errs %llu closed %llu\n", nready - r0, N, (unsigned long long)errs,
            (unsigned long long)closed);
    return 4;
  }
  uint64_t ts = now_ns();
  while (now_ns() - ts < 700000000ull) pump(50);
  long rss1 = srv_rss_kb();
  printf("{\"n\":%d,\"deflate\":%d,\"negotiated\":%llu,\"nct\":%llu,\"connect_s\":%.3f,\"connect_rate\":%.0f,\"connect_"
         "cpu_us\":%.1f,\"rss0_kb\":%ld,\"rss1_kb\":%ld,\"rss_per_conn_kb\":%.2f",
         N, deflate_on, (unsigned long long)negotiated, (unsigned long long)nct_count, tc, N / tc, cc / N * 1e6, rss0,
         rss1, (double)(rss1 - rss0) / N);
  char *ph = strdup(phases), *sv;
  for (char *x = strtok_r(ph, ",", &sv); x; x = strtok_r(NULL, ",", &sv)) {
    double el, cpu, gc;
    uint64_t nb, b0 = bytes_total;
    if (closed) break;
    if (!strcmp(x, "warm"))
      run_sat(4, 0.7, &el, &cpu, &gc, &nb);
    else if (!strcmp(x, "sat1") || !strcmp(x, "satW")) {
      int w = x[3] == '1' ? 1 : W;
      int ok = run_sat(w, secs, &el, &cpu, &gc, &nb);
      double d = (double)nb * N;
      printf(",\"%s\":{\"w\":%d,\"ok\":%d,\"bcasts\":%llu,\"del_s\":%.0f,\"srv_us\":%.3f,\"gen_us\":%.3f,\"srv_util\":%"
             ".2f,\"bytes_per_del\":%.0f}",
             x, w, ok, (unsigned long long)nb, d / el, cpu / d * 1e6, gc / d * 1e6, cpu / el, (bytes_total - b0) / d);
    } else if (!strcmp(x, "paced")) {
      bcast_begin();
      reclat = 1;
      nlat = nlast = 0;
      double c1 = srv_cpu_ns();
      int total = rate * pacedsecs;
      uint64_t t1 = now_ns(), per = 1000000000ull / rate;
      int sent = 0;
      uint64_t tmax = t1 + (uint64_t)((pacedsecs + 10) * 1e9);
      while (done_b < (uint64_t)total && now_ns() < tmax && !closed) {
        uint64_t t = now_ns();
        while (sent < total && t >= t1 + per * sent) {
          pub_one();
          sent++;
        }
        int ms = sent < total ? (int)((t1 + per * sent - t) / 1000000) : 50;
        pump(ms > 50 ? 50 : ms);
      }
      cpu = srv_cpu_ns() - c1;
      el = (now_ns() - t1) / 1e9;
      qsort(lat, nlat, 4, cmp32);
      qsort(lastlat, nlast, 4, cmp32);
      reclat = 0;
      phase = P_NONE;
      printf(",\"paced\":{\"rate\":%d,\"sent\":%d,\"complete\":%llu,\"p50_ms\":%.3f,\"p90_ms\":%.3f,\"p99_ms\":%.3f,"
             "\"max_ms\":%.3f,\"last_p50_ms\":%.3f,\"last_p99_ms\":%.3f,\"srv_util\":%.3f,\"srv_us\":%.3f}",
             rate, sent, (unsigned long long)done_b, pct(lat, nlat, .5), pct(lat, nlat, .9), pct(lat, nlat, .99),
             pct(lat, nlat, 1), pct(lastlat, nlast, .5), pct(lastlat, nlast, .99), cpu / el,
             nlat ? cpu / nlat * 1e6 : -1);
    } else if (!strcmp(x, "target")) {
      phase = P_TARGET;
      got = 0;
      inflight = 0;
      double c1 = srv_cpu_ns(), g1 = self_cpu();
      uint64_t t1 = now_ns(), tend = t1 + (uint64_t)(secs * 1e9), t;
      while ((t = now_ns()) < tend && !closed) {
        while (inflight <= 96) target_batch();
        pump(50);
      }
      double e2 = (t - t1) / 1e9;
      uint64_t g = got;
      cpu = srv_cpu_ns() - c1;
      gc = self_cpu() - g1;
      while (inflight > 0 && now_ns() - t < 3000000000ull) pump(50);
      phase = P_NONE;
      printf(",\"target\":{\"msg_s\":%.0f,\"srv_us\":%.3f,\"gen_us\":%.3f,\"left\":%ld}", g / e2, cpu / g * 1e6,
             gc / g * 1e6, inflight);
    } else if (!strcmp(x, "echo")) {
      int e = E < N ? E : N;
      phase = P_ECHO;
      got = 0;
      double c1 = srv_cpu_ns(), g1 = self_cpu();
      uint64_t t1 = now_ns(), tend = t1 + (uint64_t)(secs * 1e9), t;
      for (int i = 0; i < e; i++) {
        C[i].inflight = 0;
        echo_send(&C[i], D);
      }
      static struct epoll_event ev[512];
      while ((t = now_ns()) < tend && !closed) {
        int n = epoll_wait(ep, ev, 512, 50);
        for (int i = 0; i < n; i++) {
          Conn *c = ev[i].data.ptr;
          on_read(c);
          if (c->id < e && c->inflight < D && c->st == S_READY) echo_send(c, D - c->inflight);
        }
      }
      double e2 = (t - t1) / 1e9;
      uint64_t g = got;
      cpu = srv_cpu_ns() - c1;
      gc = self_cpu() - g1;
      uint64_t tq = now_ns();
      while (now_ns() - tq < 300000000ull) pump(20);
      phase = P_NONE;
      printf(",\"echo\":{\"conns\":%d,\"depth\":%d,\"msg_s\":%.0f,\"srv_us\":%.3f,\"gen_us\":%.3f}", e, D, g / e2,
             cpu / g * 1e6, gc / g * 1e6);
    } else if (!strcmp(x, "idle")) {
      uint64_t q = now_ns();
      double c1 = srv_cpu_ns();
      while (now_ns() - q < (uint64_t)(secs * 1e9)) pump(50);
      printf(",\"idle\":{\"srv_util\":%.4f}", (srv_cpu_ns() - c1) / secs);
    }
  }
  long rss2 = srv_rss_kb();
  printf(",\"rss2_kb\":%ld,\"rss2_per_conn_kb\":%.2f,\"verified\":%llu,\"verify_bad\":%llu,\"errs\":%llu,\"closed\":%"
         "llu}\n",
         rss2, (double)(rss2 - rss0) / N, (unsigned long long)verified, (unsigned long long)verify_bad,
         (unsigned long long)errs, (unsigned long long)closed);
  return 0;
}
