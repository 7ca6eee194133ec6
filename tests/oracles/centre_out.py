"""The order of image codes as the published rule says it, one hop at a time.

Start at c = floor(n/2 - floor(sqrt(n)/2)); hop to c-1, c+1, c-2, c+2 and so on; when one side is used up, go
on along the other.
"""

import math


def centre_out(num_codes):
    centre = math.floor(num_codes / 2 - math.floor(math.sqrt(num_codes) / 2))
    order, left, right = [centre], centre - 1, centre + 1
    go_left = True
    while len(order) < num_codes:
        if go_left and left >= 0:
            order.append(left)
            left -= 1
        elif not go_left and right < num_codes:
            order.append(right)
            right += 1
        go_left = not go_left
    return order
