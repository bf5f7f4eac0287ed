"""What every view needs: who asks, errors, headers, limits, paging, events, the API's document."""
