# A front of a few targets; Meson builds, the scripts in tools/ do the work.
#
#   make run     install what building needs, build, run the server and a test provider
#   make test    install what testing needs, build optimised and with sanitizers, run every test
#   make bench   measure Penstock, and Postfix where installed, and print the table
#   make build   build/penstock, optimised
#   make clean   remove build/ (not var/, where the mail is)

.PHONY: run test bench build clean
.DEFAULT_GOAL := build

run: build
	@tools/run

build:
	@./setup build
	@tools/build release src/cli/penstock

test:
	@./setup test
	@tools/test

bench:
	@./setup test
	@tools/build release src/cli/penstock bench/schedule_bench bench/delivery_bench \
		bench/logs_bench
	@bench/run $(BENCH)
	@bench/logs

clean:
	rm -rf build
