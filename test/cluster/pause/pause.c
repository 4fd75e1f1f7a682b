// The first process of every pod: it keeps the pod's namespaces open until it is told to end. With a word it says that instead.
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static void end(int signal) { (void)signal; _exit(0); }

int main(int count, char **words) {
  puts(count > 1 ? words[1] : "pausing");
  if (fflush(stdout) != 0 || count > 1) return 0;
  signal(SIGTERM, end);
  signal(SIGINT, end);
  for (;;) pause();
}
