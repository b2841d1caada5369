#!/usr/bin/python3
"""Reads a delivery report with Python's own MIME parser and prints what it found, line by line."""
import email
import email.policy
import sys


def main():
    with open(sys.argv[1], "rb") as file:
        message = email.message_from_binary_file(file, policy=email.policy.default)
    parts = message.get_payload()
    defects = [defect for part in message.walk() for defect in part.defects]
    print("type", message.get_content_type(), message.get_param("report-type"))
    print("auto", message["Auto-Submitted"], "to", message["To"], "defects", len(defects))
    for part in parts:
        print("part", part.get_content_type(), part["Content-Transfer-Encoding"])
    for block in parts[1].get_payload():
        for name, value in block.items():
            print("field", name, "=", " ".join(str(value).split()))
    original = parts[2].get_payload()
    if isinstance(original, list):
        original = original[0]
        print("returned", original["Subject"], len(original.get_payload()))


if __name__ == "__main__":
    main()
